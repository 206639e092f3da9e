//! Lines of a connection, read within a bound by both ends.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// What was read.
pub(super) enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    TooLong,
    /// There is no more. Half a line at the end is none.
    End,
}

/// Reads a line of at most `max` bytes.
pub(super) async fn read(reader: &mut (impl AsyncBufRead + Unpin), max: usize) -> io::Result<Line> {
    let mut line = Vec::new();
    reader.take(max as u64 + 1).read_until(b'\n', &mut line).await?;
    Ok(match line.pop() {
        Some(b'\n') => Line::Whole(line),
        Some(_) if line.len() >= max => Line::TooLong,
        Some(_) | None => Line::End,
    })
}
