//! Names of the running server, fetched fast enough for completion.

use std::path::Path;
use std::time::Duration;

use crate::rpc::client::Client;
use crate::rpc::methods::name::{Complete, CompleteParams, Name, Noun};

/// For connect and answer together: with the start of the process, completion takes at most 200 ms
/// whatever the server does.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(150);

/// The names that begin with `prefix`; empty if the server at `socket` does not answer in time.
pub(super) fn ask(socket: &Path, noun: Noun, prefix: &str) -> Vec<Name> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let params = CompleteParams { noun, prefix: prefix.to_owned(), limit: None };
    let answer = async {
        let mut client = Client::connect(socket).await?;
        client.call::<Complete>(&params, |()| {}).await
    };
    let answered = runtime.block_on(async { tokio::time::timeout(LOOKUP_TIMEOUT, answer).await });
    match answered {
        Ok(Ok(list)) => list.names,
        // Errors are not printed: they would appear in the line that is being typed.
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}
