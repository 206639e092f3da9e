//! Labels of a Compose file, as the dynamic part.

use crate::translate::source::Work;
use crate::translate::tree::{Content, Node};

/// The most parts of a label's name.
const MAX_PARTS: usize = 16;

/// Reads the labels of all services of a Compose file.
pub(super) fn read(compose: &Node, work: &mut Work<'_>) -> Node {
    let mut dynamic = Node::default();
    let empty = Node::default();
    for (name, service) in compose.get("services").unwrap_or(&empty).members() {
        let labels = of_service(service);
        if labels.iter().any(|(key, value, _)| key == "traefik.enable" && value == "false") {
            continue;
        }
        let labels: Vec<_> =
            labels.into_iter().filter(|(key, ..)| key.starts_with("traefik.")).collect();
        let mut own = Node::default();
        for (key, value, node) in &labels {
            let parts: Vec<_> = key.split('.').skip(1).collect();
            if parts.len() <= MAX_PARTS
                && parts.first().is_some_and(|it| matches!(*it, "http" | "tcp" | "udp"))
            {
                own.put(&parts, value, node.place);
            }
        }
        address(name, service, &mut own, work);
        dynamic.merge(own);
    }
    dynamic
}

fn of_service(service: &Node) -> Vec<(String, String, &Node)> {
    let labels = service.get("labels");
    let Some(labels) = labels else { return Vec::new() };
    match &labels.content {
        Content::Map(members) => members
            .iter()
            .map(|(key, node)| (key.clone(), node.text().unwrap_or_default().to_owned(), node))
            .collect(),
        Content::List(items) => items
            .iter()
            .filter_map(|item| {
                let (key, value) = item.text()?.split_once('=')?;
                Some((key.to_owned(), value.to_owned(), item))
            })
            .collect(),
        Content::Empty | Content::Text(_) => Vec::new(),
    }
}

/// Gives the services of a container its address: that of a port which it publishes, or its name.
fn address(name: &str, container: &Node, own: &mut Node, work: &mut Work<'_>) {
    let mut services: Vec<(String, Node)> =
        own.at("http.services").map(|it| it.members().to_vec()).unwrap_or_default();
    if services.is_empty() && own.at("http.routers").is_some() {
        // A container has a service of its own name.
        services.push((name.to_owned(), Node::default()));
    }
    let only = (services.len() == 1).then(|| services[0].0.clone());
    for (service, node) in services {
        let balancer = node.get("loadbalancer").cloned().unwrap_or_default();
        let port = balancer.at("server.port").and_then(Node::text).map(str::to_owned);
        let scheme = balancer.at("server.scheme").and_then(Node::text).unwrap_or("http").to_owned();
        let place = if node.place.line > 0 { node.place } else { container.place };
        let published = published(container, port.as_deref());
        let port = port.or_else(|| published.as_ref().map(|(_, port)| port.clone()));
        let Some(port) = port else {
            work.findings.warn(place, service, "the port of the container is not said");
            continue;
        };
        let address = if let Some((address, _)) = published {
            address
        } else {
            let why = "the container publishes no port: run vhost in its network, or publish one and write its address";
            work.findings.warn(place, format!("{name}:{port}"), why);
            format!("{name}:{port}")
        };
        let url = format!("{scheme}://{address}");
        own.put(&["http", "services", &service, "loadbalancer", "server", "url"], &url, place);
    }
    let Some(only) = only else { return };
    let routers: Vec<_> = own
        .at("http.routers")
        .map(|it| it.members().iter().map(|(name, it)| (name.clone(), it.clone())).collect())
        .unwrap_or_default();
    for (router, node) in routers {
        if node.get("service").is_none() {
            own.put(&["http", "routers", &router, "service"], &only, node.place);
        }
    }
}

/// The address at which a port of a container is published, and that port.
fn published(container: &Node, port: Option<&str>) -> Option<(String, String)> {
    let ports = container.get("ports")?;
    ports.items().iter().find_map(|item| {
        let text = item.text()?;
        let (outer, inner) = text.rsplit_once(':')?;
        let inner = inner.split('/').next()?;
        if port.is_some_and(|port| port != inner) {
            return None;
        }
        let address = match outer.rsplit_once(':') {
            Some(("0.0.0.0" | "", outer)) => format!("127.0.0.1:{outer}"),
            Some((host, outer)) => format!("{host}:{outer}"),
            None => format!("127.0.0.1:{outer}"),
        };
        Some((address, inner.to_owned()))
    })
}
