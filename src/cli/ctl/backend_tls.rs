//! How TLS to a backend is done, as arguments of `vhost ctl backend …`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueHint};

use super::domain_options;
use crate::model::{BackendTls, Patch, TlsName};
use crate::plain_file::absolute;
use crate::rpc::methods::backend::{AddParams, SetParams};

/// The options of `add` and `set`. The server reads the files.
#[derive(Debug, Args)]
#[group(skip)]
#[expect(clippy::struct_field_names, reason = "they are the names of the flags")]
pub(super) struct TlsArgs {
    /// The name that is asked for (SNI) and that the certificate must be for, or an IP
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<TlsName>,
    /// The file of the CAs to trust instead of the system's, PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    tls_ca_file: Option<PathBuf>,
    /// The file of the certificate that the backend is shown, with its chain, PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    tls_client_cert_file: Option<PathBuf>,
    /// The file of that certificate's private key, PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    tls_client_key_file: Option<PathBuf>,
}

/// The further options of `set`.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct TlsEdits {
    #[command(flatten)]
    args: TlsArgs,
    /// Don't verify the backend's certificate at all
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    tls_insecure_skip_verify: Option<bool>,
    /// Take a key away, such as `tls_ca_file`; may be repeated
    #[arg(long = "no-option", value_name = "KEY", hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(BackendTls::OPTIONAL))]
    taken: Vec<String>,
}

impl TlsArgs {
    fn gives(&self, key: &str) -> bool {
        let Self { tls_server_name, tls_ca_file, tls_client_cert_file, tls_client_key_file } = self;
        let given = [
            (BackendTls::SERVER_NAME, tls_server_name.is_some()),
            (BackendTls::CA_FILE, tls_ca_file.is_some()),
            (BackendTls::CLIENT_CERT_FILE, tls_client_cert_file.is_some()),
            (BackendTls::CLIENT_KEY_FILE, tls_client_key_file.is_some()),
        ];
        given.contains(&(key, true))
    }

    /// Fills in the parameters.
    pub(super) fn fill(self, params: &mut AddParams) {
        params.tls_server_name = self.tls_server_name;
        params.tls_ca_file = self.tls_ca_file.map(absolute);
        params.tls_client_cert_file = self.tls_client_cert_file.map(absolute);
        params.tls_client_key_file = self.tls_client_key_file.map(absolute);
    }
}

impl TlsEdits {
    /// Fills in the parameters.
    ///
    /// # Errors
    /// When a key is both set and removed, or removed twice.
    pub(super) fn fill(self, params: &mut SetParams) -> Result<(), String> {
        let Self { args, tls_insecure_skip_verify, taken } = self;
        domain_options::check_taken(&taken, |key| args.gives(key))?;
        let is_taken = |key| taken.iter().any(|taken| taken == key);
        let path = |key, given: Option<PathBuf>| patch(is_taken(key), given.map(absolute));
        params.tls_server_name = patch(is_taken(BackendTls::SERVER_NAME), args.tls_server_name);
        params.tls_ca_file = path(BackendTls::CA_FILE, args.tls_ca_file);
        params.tls_client_cert_file = path(BackendTls::CLIENT_CERT_FILE, args.tls_client_cert_file);
        params.tls_client_key_file = path(BackendTls::CLIENT_KEY_FILE, args.tls_client_key_file);
        params.tls_insecure_skip_verify = tls_insecure_skip_verify;
        Ok(())
    }
}

fn patch<T>(is_taken: bool, given: Option<T>) -> Patch<T> {
    match given {
        Some(value) => Patch::Set(value),
        None if is_taken => Patch::Take,
        None => Patch::Keep,
    }
}
