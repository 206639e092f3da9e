//! The methods on the tokens of the management API.

use serde_json::Value;

use super::{Call, Dispatch, Failure, read, write};
use crate::rpc::methods::{Method, NoParams, token};
use crate::tokens::TokenFacts;

impl Dispatch {
    pub(super) fn show_token(&self, params: Value) -> Result<Value, Failure> {
        let NoParams {} = read(params)?;
        secret::<token::Show>(self.tokens.admin()?)
    }

    pub(super) async fn rotate_token(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let token::RotateParams { name } = read(params)?;
        let rotated = self.tokens.rotate(name).await?;
        tracing::info!(token = %rotated.0.name, actor = %call.actor, "token rotated");
        secret::<token::Rotate>(rotated)
    }

    pub(super) async fn add_token(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let token::AddParams { name, access } = read(params)?;
        let added = self.tokens.add(name, access).await?;
        tracing::info!(token = %added.0.name, %access, actor = %call.actor, "token added");
        secret::<token::Add>(added)
    }

    pub(super) fn list_tokens(&self, params: Value) -> Result<Value, Failure> {
        let NoParams {} = read(params)?;
        let info = |TokenFacts { name, access, created_ms }| token::TokenInfo {
            name,
            access: access.into(),
            created_ms,
        };
        let tokens = self.tokens.list().into_iter().map(info).collect();
        write::<token::List>(&token::TokenList { tokens })
    }

    pub(super) async fn remove_token(&self, params: Value, call: &Call) -> Result<Value, Failure> {
        let token::NameParams { name } = read(params)?;
        self.tokens.remove(name.clone()).await?;
        tracing::info!(token = %name, actor = %call.actor, "token removed");
        write::<token::Remove>(&token::Removed { name })
    }
}

fn secret<M: Method<Result = token::Secret>>(
    (facts, secret): (TokenFacts, String),
) -> Result<Value, Failure> {
    let TokenFacts { name, access, .. } = facts;
    write::<M>(&token::Secret { name, access: access.into(), secret })
}
