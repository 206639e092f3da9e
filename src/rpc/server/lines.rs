//! Lines of a connection: read within a bound, written one after the other.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::rpc::progress::Outgoing;

/// What was read.
pub(super) enum Line {
    Request(Vec<u8>),
    TooLong,
    End,
}

/// Reads a line of at most `longest` bytes.
pub(super) async fn read(reader: &mut BufReader<OwnedReadHalf>, longest: usize) -> Line {
    let mut line = Vec::new();
    loop {
        let Ok(available) = reader.fill_buf().await else { return Line::End };
        if available.is_empty() {
            // Half a message at the end is none.
            return Line::End;
        }
        let newline = available.iter().position(|byte| *byte == b'\n');
        let taken = newline.unwrap_or(available.len());
        if line.len() + taken > longest {
            return Line::TooLong;
        }
        line.extend_from_slice(&available[..taken]);
        reader.consume(newline.map_or(taken, |newline| newline + 1));
        if newline.is_some() {
            return Line::Request(line);
        }
    }
}

/// Writes until there is nothing more to write, or the client doesn't take it.
pub(super) async fn write(
    mut writer: OwnedWriteHalf,
    mut lines: mpsc::Receiver<Outgoing>,
    slowest_reader: Duration,
) {
    while let Some(Outgoing { mut text, written, waiting }) = lines.recv().await {
        text.push('\n');
        match timeout(slowest_reader, writer.write_all(text.as_bytes())).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::info!("dropped a client of the admin socket that does not read");
                return;
            }
        }
        drop(waiting);
        if let Some(written) = written {
            // Nobody waits for it where the conversation has ended meanwhile.
            let _ = written.send(());
        }
    }
}
