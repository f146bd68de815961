//! What was promised is kept: `proto/` against `proto/released.binpb`, the descriptors of the last release, and migrations against the services
//! that still run.
//!
//! While a version rolls out, old and new services talk to each other, and callers outside never roll out together with us. So within a
//! package's version things are added and never taken away, renamed or retyped. Whoever must, starts `v2` beside it.

mod rules;
mod tables;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail};
use prost_reflect::DescriptorPool;
use std::path::Path;

const RELEASED: &str = "proto/released.binpb";

/// Fails when `proto/` takes back what the last release promised, or a migration what its services work on.
pub fn check(root: &Path) -> Result<()> {
    let mut problems = problems(root)?;
    problems.extend(tables::broken(root)?);
    if problems.is_empty() {
        println!("proto and migrations: keep what the last release counts on");
        return Ok(());
    }
    bail!("{} changes break the last release or its callers:\n{}", problems.len(), problems.join("\n"))
}

/// Makes what `proto/` says now the promise of a release. Refuses to take anything back, unless it is `broken` on purpose.
pub fn release(root: &Path, broken: bool) -> Result<()> {
    if !broken {
        check(root)?;
    }
    let descriptors = crate::proto::compile(&root.join("proto"), false)?.encode_file_descriptor_set();
    std::fs::write(root.join(RELEASED), &descriptors)?;
    println!("proto: {RELEASED} holds what proto/ says now");
    Ok(())
}

fn problems(root: &Path) -> Result<Vec<String>> {
    let kept = std::fs::read(root.join(RELEASED)).with_context(|| RELEASED.to_owned())?;
    let old = DescriptorPool::decode(kept.as_slice()).with_context(|| RELEASED.to_owned())?;
    let compiled = crate::proto::compile(&root.join("proto"), false)?.encode_file_descriptor_set();
    let new = DescriptorPool::decode(compiled.as_slice())?;
    Ok(rules::broken(&old, &new))
}
