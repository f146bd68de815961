//! Pools compiled on the spot, and short ways to call a transcoder.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use barid_transcode::{BuildError, Transcoder, Violation};
use http::Method;
use prost_reflect::{DescriptorPool, DynamicMessage};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

/// The service of `everything.proto`.
pub static THINGS: LazyLock<Transcoder> = LazyLock::new(|| Transcoder::new(&THINGS_POOL, |_| true).expect("everything.proto is sound"));

pub static THINGS_POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    compile(&[protos(), repository()], &["everything.proto", "google/rpc/error_details.proto", "google/rpc/status.proto"])
});

/// The folder of the protos that are for these tests only.
pub fn protos() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protos")
}

/// The folder of the repository's own protos.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../proto")
}

/// By way of bytes, as a service that embeds its descriptors does it.
pub fn compile(includes: &[PathBuf], files: &[&str]) -> DescriptorPool {
    let mut compiler = Compiler::new(includes).expect("the folders are there");
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files).expect("the protos compile");
    DescriptorPool::decode(&*compiler.encode_file_descriptor_set()).expect("the protos are sound")
}

struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == "test.proto" { File::from_source(name, &self.0) } else { Err(protox::Error::file_not_found(name)) }
    }
}

/// A transcoder of the services and messages in `body`.
pub fn build(body: &str) -> Result<Transcoder, BuildError> {
    let source = format!(
        r#"syntax = "proto3"; package test.v1;
        import "google/api/annotations.proto";
        import "google/api/httpbody.proto";
        import "google/protobuf/timestamp.proto";
        import "transcode/v1/annotations.proto";
        {body}"#
    );
    let mut resolver = ChainFileResolver::new();
    resolver.add(Source(source));
    resolver.add(IncludeFileResolver::new(repository()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file("test.proto").expect("the proto compiles");
    let pool = DescriptorPool::decode(&*compiler.encode_file_descriptor_set()).expect("the proto is sound");
    Transcoder::new(&pool, |_| true)
}

/// The request message that THINGS makes of a call to `verb path?query`.
pub fn call(verb: &str, target: &str, body: &str) -> Result<DynamicMessage, Vec<Violation>> {
    call_bytes(verb, target, body.as_bytes())
}

pub fn call_bytes(verb: &str, target: &str, body: &[u8]) -> Result<DynamicMessage, Vec<Violation>> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let verb = Method::from_bytes(verb.as_bytes()).expect("a verb");
    let found = THINGS.find(&verb, path).unwrap_or_else(|error| panic!("{verb} {target}: {error}"));
    let bytes = found.request(query, body).map_err(|error| error.violations)?;
    Ok(DynamicMessage::decode(found.method().input(), bytes).expect("requests can be decoded"))
}

/// The violations of a call, each as `field: description`.
pub fn refused(verb: &str, target: &str, body: &str) -> Vec<String> {
    match call(verb, target, body) {
        Ok(message) => panic!("{verb} {target} {body} was taken as {message}"),
        Err(violations) => violations.iter().map(ToString::to_string).collect(),
    }
}

/// The message in protobuf's text format's stead: JSON by prost-reflect's own hand, without default values.
pub fn json(message: &DynamicMessage) -> serde_json::Value {
    serde_json::to_value(message).expect("prost-reflect can write what was read")
}
