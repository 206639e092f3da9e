//! Methods that run: declared, entered in the catalogue and carried out by their type.

use std::fmt;
use std::pin::Pin;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};

use super::dispatch::{Call, Dispatch, Failure};
use super::envelope::FaultKind;
use super::method::Method;
use crate::model::read_value;

/// How a method runs on the server.
pub(super) trait Run: Method {
    /// Carries out one call.
    fn run(
        server: &Dispatch,
        params: Self::Params,
        call: &Call,
    ) -> impl Future<Output = Answered<Self>> + Send;
}

/// What a run of `M` comes to.
pub(super) type Answered<M> = Result<<M as Method>::Result, Failure>;

/// Declares the methods of a noun in the order of their documentation: for each its type, name,
/// parameters, result, progress, and the kinds of its errors. Being declared here, it is in the
/// [catalogue](super::catalogue).
macro_rules! methods {
    ($(
        $(#[doc = $doc:literal])* $type:ident, $name:literal, $params:ty => $result:ty
        $(, progress $progress:ty)? $(, faults [$($fault:ident),*])?;
    )*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Debug)]
            pub(crate) enum $type {}

            impl $crate::rpc::method::Method for $type {
                const NAME: &'static str = $name;
                const DOC: &'static str = concat!($($doc, "\n"),*);
                const FAULTS: &'static [$crate::rpc::envelope::FaultKind] =
                    &[$($($crate::rpc::envelope::FaultKind::$fault),*)?];
                type Params = $params;
                type Result = $result;
                type Progress = methods!(@progress $($progress)?);
            }
        )*

        /// Every method of this noun.
        pub(crate) static METHODS: &[$crate::rpc::run::Entry] =
            &[$($crate::rpc::run::Entry::of::<$type>()),*];
    };
    (@progress) => { () };
    (@progress $progress:ty) => { $progress };
}
pub(super) use methods;

/// A method without its types.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// The kinds of errors that are its own.
    pub faults: &'static [FaultKind],
    /// The schema of its parameters, inline.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its result.
    pub result: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of what it reports while it is under way; that of null when it reports nothing.
    pub progress: fn(&mut SchemaGenerator) -> Schema,
    /// Runs it on parameters as they came.
    pub(super) run: for<'a> fn(&'a Dispatch, Value, &'a Call) -> Running<'a>,
}

/// A call that is being carried out.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send + 'a>>;

impl Entry {
    pub(super) const fn of<M: Run>() -> Self {
        Self {
            name: M::NAME,
            doc: M::DOC,
            faults: M::FAULTS,
            params: M::Params::json_schema,
            result: SchemaGenerator::subschema_for::<M::Result>,
            progress: SchemaGenerator::subschema_for::<M::Progress>,
            run: run::<M>,
        }
    }

    /// Whether the method may answer with an error of this kind.
    pub fn may_answer(&self, kind: FaultKind) -> bool {
        matches!(kind, FaultKind::Invalid | FaultKind::Internal) || self.faults.contains(&kind)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.name).finish()
    }
}

fn run<'a, M: Run>(server: &'a Dispatch, params: Value, call: &'a Call) -> Running<'a> {
    Box::pin(async move {
        let params = if params.is_null() { Value::Object(Map::new()) } else { params };
        let params = read_value(params)?;
        let result = M::run(server, params, call).await?;
        serde_json::to_value(result).map_err(Failure::Result)
    })
}
