//! Names of the running server, in less time than a person notices.

use std::path::Path;
use std::time::Duration;

use crate::rpc::client::Client;
use crate::rpc::methods::name::{Complete, CompleteParams, Name, Noun};

/// For connect and answer together: with the start of the process, a key press is answered within
/// 200 ms whatever the server does.
const PATIENCE: Duration = Duration::from_millis(150);

/// The names that begin with `prefix`; none when the server at `socket` does not answer in time.
pub(super) fn ask(socket: &Path, noun: Noun, prefix: &str) -> Vec<Name> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let params = CompleteParams { noun, prefix: prefix.to_owned(), limit: None };
    let answer = async {
        let mut client = Client::connect(socket).await?;
        client.call::<Complete>(&params, |()| {}).await
    };
    let answered = runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await });
    match answered {
        Ok(Ok(list)) => list.names,
        // There is nobody to tell: what is printed now would land in the line that is being typed.
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}
