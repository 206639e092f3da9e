//! Methods on the tokens of the management API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Confirmed, NoParams, Open};
use crate::model::{Access, TokenName};
use crate::rpc::dispatch::{Call, Dispatch};
use crate::rpc::run::{Answered, Run, methods};
use crate::tokens::TokenFacts;

methods! {
    /// The server's own token, `admin`, with its secret.
    Show, "token.show", NoParams => Secret, faults [NotFound];
    /// Gives a token a new secret; the old one is refused from the next request on.
    Rotate, "token.rotate", RotateParams => Confirmed<Secret>, faults [NotFound];
    /// Makes a token and answers with its secret, which is never shown again.
    Add, "token.add", AddParams => Confirmed<Secret>, faults [AlreadyExists];
    /// The tokens by name, without their secrets.
    List, "token.list", NoParams => TokenList;
    /// Removes a token; its secret is refused from the next request on.
    Remove, "token.remove", NameParams => Confirmed<Removed>, faults [NotFound];
}

/// What `token.rotate` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateParams {
    /// The token. The default is `admin`, which is made if it does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TokenName>,
}

/// What `token.add` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddParams {
    /// The new name.
    pub name: TokenName,
    /// What it allows.
    pub access: Access,
}

/// Names one token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameParams {
    /// Its name.
    pub name: TokenName,
}

/// A token with its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(clippy::struct_field_names, reason = "the names are those of the wire")]
pub(crate) struct Secret {
    /// Its name.
    pub name: TokenName,
    /// What it allows.
    pub access: Open<Access>,
    /// The secret, for `Authorization: Bearer SECRET`.
    pub secret: String,
}

/// The answer of `token.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TokenList {
    /// The tokens, by name.
    pub tokens: Vec<TokenInfo>,
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TokenInfo {
    /// Its name.
    pub name: TokenName,
    /// What it allows.
    pub access: Open<Access>,
    /// When its secret was made, in milliseconds since the Unix epoch.
    pub created_ms: u64,
}

/// The answer of `token.remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Removed {
    /// The name of the removed token.
    pub name: TokenName,
}

impl Run for Show {
    async fn run(server: &Dispatch, _: NoParams, _: &Call) -> Answered<Self> {
        Ok(secret(server.tokens.admin()?))
    }
}

impl Run for Rotate {
    async fn run(server: &Dispatch, params: RotateParams, call: &Call) -> Answered<Self> {
        let RotateParams { name } = params;
        let rotated = server.tokens.rotate(name).await?;
        tracing::info!(token = %rotated.0.name, actor = %call.actor, "token rotated");
        let changed = "new secret, the old one is refused".to_owned();
        Ok(Confirmed::new(secret(rotated), vec![changed]))
    }
}

impl Run for Add {
    async fn run(server: &Dispatch, params: AddParams, call: &Call) -> Answered<Self> {
        let AddParams { name, access } = params;
        let added = server.tokens.add(name, access).await?;
        tracing::info!(token = %added.0.name, %access, actor = %call.actor, "token added");
        Ok(Confirmed::new(secret(added), vec![format!("added, access {access}")]))
    }
}

impl Run for List {
    async fn run(server: &Dispatch, _: NoParams, _: &Call) -> Answered<Self> {
        let info = |TokenFacts { name, access, created_ms }| TokenInfo {
            name,
            access: access.into(),
            created_ms,
        };
        Ok(TokenList { tokens: server.tokens.list().into_iter().map(info).collect() })
    }
}

impl Run for Remove {
    async fn run(server: &Dispatch, params: NameParams, call: &Call) -> Answered<Self> {
        let NameParams { name } = params;
        server.tokens.remove(name.clone()).await?;
        tracing::info!(token = %name, actor = %call.actor, "token removed");
        Ok(Confirmed::new(Removed { name }, vec!["removed".to_owned()]))
    }
}

fn secret((facts, secret): (TokenFacts, String)) -> Secret {
    Secret { name: facts.name, access: facts.access.into(), secret }
}
