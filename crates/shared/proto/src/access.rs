//! Who may call what, read from the options of the methods.

use std::collections::HashMap;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, MethodDescriptor};

pub use crate::{
    generated::access::v1::{AccessRule, Framing, Polling, Principal, Scope},
    polling::{Polled, PollingError},
};

/// Metadata key under which the gateway hands on the principal.
pub const PRINCIPAL_KEY: &str = "barid-principal-bin";

/// One method with its rule.
#[derive(Clone, Debug)]
pub struct Method {
    pub descriptor: MethodDescriptor,
    /// `/package.Service/Method`
    pub path: String,
    pub scope: Scope,
    /// Services that may call it on their own behalf.
    pub callers: Vec<String>,
    pub framing: Option<Framing>,
    pub polling: Option<Polling>,
    /// Number of the request's `tenant_id`.
    pub tenant_field: Option<u32>,
    /// Number of the request's `organisation_id`.
    pub organisation_field: Option<u32>,
}

/// Every method of Barid by its path.
#[derive(Clone, Debug)]
pub struct Table(HashMap<String, Method>);

impl Table {
    /// Reads the options. A method without an access rule is left out, and so can be called by nobody.
    pub fn new(pool: &DescriptorPool) -> Self {
        let access = extension(pool, "barid.access.v1.access");
        let framing = extension(pool, "barid.access.v1.framing");
        let polling = extension(pool, "barid.access.v1.polling");
        let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).filter_map(|descriptor| {
            let options = descriptor.options();
            let rule: AccessRule = read(&options, &access)?;
            let path = format!("/{}/{}", descriptor.parent_service().full_name(), descriptor.name());
            let field = |name| descriptor.input().get_field_by_name(name).map(|field| field.number());
            let method = Method {
                scope: rule.scope(),
                callers: rule.callers,
                framing: read(&options, &framing),
                polling: read(&options, &polling),
                tenant_field: field("tenant_id"),
                organisation_field: field("organisation_id"),
                path: path.clone(),
                descriptor,
            };
            Some((path, method))
        });
        Self(methods.collect())
    }

    pub fn get(&self, path: &str) -> Option<&Method> {
        self.0.get(path)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.0.values()
    }

    /// The polled streams by their paths, with everything that their options name.
    ///
    /// # Errors
    /// A mistake in the protos: an option that names what is not there, or that stands at a method that it does not fit.
    pub fn polled(&self) -> Result<HashMap<String, Polled>, PollingError> {
        let polled = self.iter().filter_map(|method| method.polling.as_ref().map(|polling| (method, polling)));
        polled.map(|(method, polling)| Ok((method.path.clone(), Polled::new(self, method, polling)?))).collect()
    }
}

impl Method {
    /// Whether callers outside of Barid may reach it.
    pub fn is_public(&self) -> bool {
        matches!(self.scope, Scope::Platform | Scope::Organisation | Scope::Tenant)
    }
}

pub(crate) fn extension(pool: &DescriptorPool, name: &str) -> ExtensionDescriptor {
    pool.get_extension_by_name(name).expect("the descriptors contain Barid's own options")
}

/// Reads an option as the message it is.
pub(crate) fn read<M: Message + Default>(options: &DynamicMessage, extension: &ExtensionDescriptor) -> Option<M> {
    options.has_extension(extension).then(|| options.get_extension(extension).as_message()?.transcode_to().ok()).flatten()
}
