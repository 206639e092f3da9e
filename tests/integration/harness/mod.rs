//! What the tests stand on: the real `vhost` as a child process, real backends in this process, and
//! clients that see every byte. All of it ends when it is dropped.

mod acme_self_test;
mod address;
mod ask;
mod backend;
mod ca_relay;
mod certificates;
mod client;
mod command;
mod dns_hook;
mod frames;
mod grpc_health;
mod namespace;
mod orders;
mod pebble;
pub(crate) mod peer;
mod raw_backend;
mod rpc;
mod self_test;
mod setup;
mod tls;
mod tls_client;
mod vhost;
mod wait;
mod websocket;

pub(crate) use address::{free_address, free_ip, free_ports, refusing_address};
pub(crate) use ask::AskServer;
pub(crate) use backend::{Backend, check_stream, checksum};
pub(crate) use ca_relay::CaRelay;
pub(crate) use client::{Channel, Client, Framing, Response, connect_from, get};
pub(crate) use command::{CtlOutput, RunningCtl};
pub(crate) use dns_hook::DnsHook;
pub(crate) use frames::{H2, H2Response, in_runtime, read};
pub(crate) use grpc_health::{GrpcHealth, NOT_SERVING, SERVING};
pub(crate) use namespace::{mount_namespace, unprivileged};
pub(crate) use orders::ORDER;
pub(crate) use pebble::{Pebble, PebbleOptions};
pub(crate) use raw_backend::{FullBacklog, RawBackend, RawConnection, answer};
pub(crate) use rpc::RpcConnection;
pub(crate) use setup::Setup;
pub(crate) use tls::{Authority, CertificateFiles, Issued, self_signed, tls_server};
pub(crate) use tls_client::{Handshake, TlsClient, TlsStream, alert_of, names_of, serial_of};
pub(crate) use vhost::{Vhost, serve_once, vhost_binary};
pub(crate) use wait::{eventually, eventually_async, eventually_some};
pub(crate) use websocket::WebSocket;
