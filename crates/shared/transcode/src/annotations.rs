//! Reads the options that the transcoder understands from the descriptors of a pool.
//!
//! The structs mirror the published messages field by field, so that the crate needs no generated code and a pool that
//! lacks one of the extensions is simply a pool without such annotations.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MethodDescriptor, Value};

/// google.api.HttpRule
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HttpRule {
    #[prost(oneof = "Pattern", tags = "2, 3, 4, 5, 6, 8")]
    pub pattern: Option<Pattern>,
    #[prost(string, tag = "7")]
    pub body: String,
    #[prost(string, tag = "12")]
    pub response_body: String,
    #[prost(message, repeated, tag = "11")]
    pub additional_bindings: Vec<HttpRule>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Pattern {
    #[prost(string, tag = "2")]
    Get(String),
    #[prost(string, tag = "3")]
    Put(String),
    #[prost(string, tag = "4")]
    Post(String),
    #[prost(string, tag = "5")]
    Delete(String),
    #[prost(string, tag = "6")]
    Patch(String),
    #[prost(message, tag = "8")]
    Custom(CustomPattern),
}

/// google.api.CustomHttpPattern
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CustomPattern {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "2")]
    pub path: String,
}

/// transcode.v1.FieldRules
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FieldRules {
    #[prost(string, repeated, tag = "1")]
    pub aliases: Vec<String>,
    #[prost(uint32, tag = "2")]
    pub max_length: u32,
    #[prost(uint32, tag = "3")]
    pub max_items: u32,
    #[prost(int64, tag = "4")]
    pub minimum: i64,
    #[prost(int64, tag = "5")]
    pub maximum: i64,
    #[prost(string, tag = "7")]
    pub format: String,
    #[prost(string, tag = "8")]
    pub example: String,
}

/// transcode.v1.MethodRules
#[derive(Clone, PartialEq, Message)]
struct MethodRules {
    #[prost(uint32, tag = "1")]
    success_status: u32,
}

/// google.api.field_behavior, as far as it changes what is documented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Behavior {
    pub required: bool,
    pub output_only: bool,
    pub input_only: bool,
}

/// The extensions of one pool.
pub(crate) struct Annotations {
    http: Option<ExtensionDescriptor>,
    behavior: Option<ExtensionDescriptor>,
    field: Option<ExtensionDescriptor>,
    method: Option<ExtensionDescriptor>,
}

impl Annotations {
    pub fn new(pool: &DescriptorPool) -> Self {
        Self {
            http: pool.get_extension_by_name("google.api.http"),
            behavior: pool.get_extension_by_name("google.api.field_behavior"),
            field: pool.get_extension_by_name("transcode.v1.field"),
            method: pool.get_extension_by_name("transcode.v1.method"),
        }
    }

    pub fn http(&self, method: &MethodDescriptor) -> Option<HttpRule> {
        read(&method.options(), self.http.as_ref()?)
    }

    /// Zero when the method does not say.
    pub fn success_status(&self, method: &MethodDescriptor) -> u32 {
        self.method.as_ref().and_then(|extension| read::<MethodRules>(&method.options(), extension)).map_or(0, |rules| rules.success_status)
    }

    pub fn rules(&self, field: &FieldDescriptor) -> FieldRules {
        // Most fields have no options, and decoding them is not free.
        if field.field_descriptor_proto().options.is_none() {
            return FieldRules::default();
        }
        self.field.as_ref().and_then(|extension| read(&field.options(), extension)).unwrap_or_default()
    }

    pub fn behavior(&self, field: &FieldDescriptor) -> Behavior {
        let mut behavior = Behavior::default();
        if field.field_descriptor_proto().options.is_none() {
            return behavior;
        }
        let Some(extension) = &self.behavior else {
            return behavior;
        };
        let options = field.options();
        for value in options.get_extension(extension).as_list().unwrap_or_default() {
            match value.as_enum_number() {
                Some(2) => behavior.required = true,
                Some(3) => behavior.output_only = true,
                Some(4) => behavior.input_only = true,
                _ => {}
            }
        }
        behavior
    }
}

fn read<T: Message + Default>(options: &DynamicMessage, extension: &ExtensionDescriptor) -> Option<T> {
    if !options.has_extension(extension) {
        return None;
    }
    match &*options.get_extension(extension) {
        Value::Message(message) => message.transcode_to().ok(),
        _ => None,
    }
}
