//! From names to addresses that may be connected to.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures::future::BoxFuture;
use reqwest::dns;

use crate::{Error, guard::Guard};

/// Resolves names. What it finds is judged before anything connects.
pub trait Resolve: Send + Sync + 'static {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Resolve for System {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// Hands on the addresses that the guard lets pass.
pub(crate) struct Guarded {
    pub inner: Arc<dyn Resolve>,
    pub guard: Arc<Guard>,
}

impl dns::Resolve for Guarded {
    fn resolve(&self, name: dns::Name) -> dns::Resolving {
        let (guard, host) = (self.guard.clone(), name.as_str().to_owned());
        let found = self.inner.resolve(&host);
        Box::pin(async move {
            let found = found.await.map_err(|error| Error::Unresolved { host: host.clone(), reason: error.to_string() })?;
            let passed = pass(&guard, host, found)?;
            // The client puts the URL's port in place of 0.
            Ok(Box::new(passed.into_iter().map(|ip| SocketAddr::new(ip, 0))) as dns::Addrs)
        })
    }
}

/// Behind DNS64 a public host has a NAT64 address too, so that one refused address does not refuse the host.
fn pass(guard: &Guard, host: String, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Error> {
    let mut refused = None;
    let mut passed = Vec::with_capacity(found.len());
    for ip in found {
        match guard.address(ip) {
            Ok(()) => passed.push(ip),
            Err(refusal) => refused = Some(refusal),
        }
    }
    match refused {
        Some(refusal) if passed.is_empty() => Err(Error::Refused { host, refusal }),
        None if passed.is_empty() => Err(Error::Unresolved { host, reason: "no records".to_owned() }),
        _ => Ok(passed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Refusal, Settings};

    fn judged(found: &[&str]) -> Result<Vec<IpAddr>, Error> {
        let found = found.iter().map(|ip| ip.parse().expect("an address")).collect();
        pass(&Guard::new(&Settings::default()), "shop.example".to_owned(), found)
    }

    #[test]
    fn only_public_addresses_are_handed_on() {
        assert_eq!(judged(&["10.0.0.1", "8.8.8.8", "::1"]), Ok(vec![IpAddr::from([8, 8, 8, 8])]));
    }

    #[test]
    fn a_host_without_public_address_is_refused() {
        assert_eq!(judged(&["127.0.0.1"]), Err(Error::Refused { host: "shop.example".to_owned(), refusal: Refusal::Loopback }));
        assert!(matches!(judged(&[]), Err(Error::Unresolved { .. })));
    }
}
