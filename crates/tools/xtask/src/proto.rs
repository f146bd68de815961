//! Generates `crates/shared/proto/src/gen` from `proto/`, and checks that it is what is kept in the repository.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use prost::Message;

/// Writes the generated code, or with `check` compares it with what is there.
pub fn run(check: bool) -> Result<()> {
    let root = crate::root();
    let kept = root.join("crates/shared/proto/src/gen");
    let fresh = generate(&root)?;
    let stale = differences(&kept, &fresh)?;
    if check {
        if stale.is_empty() {
            println!("proto: {} generated files are current", fresh.len());
            return Ok(());
        }
        bail!("generated code differs from proto/: {}\nrun `cargo xtask proto` and commit the result", stale.join(", "));
    }
    fs::create_dir_all(&kept)?;
    for name in &stale {
        match fresh.get(name) {
            Some(content) => fs::write(kept.join(name), content)?,
            None => fs::remove_file(kept.join(name))?,
        }
    }
    println!("proto: {} files, {} changed", fresh.len(), stale.len());
    Ok(())
}

/// Compiles the protos in a folder, with or without their comments.
pub(crate) fn compile(include: &Path, comments: bool) -> Result<protox::Compiler> {
    let mut compiler = protox::Compiler::new([include])?;
    compiler.include_imports(true).include_source_info(comments);
    compiler.open_files(proto_files(include)?).with_context(|| format!("{} does not compile", include.display()))?;
    Ok(compiler)
}

fn generate(root: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let compiler = compile(&root.join("proto"), true)?;
    let out = tempfile::tempdir()?;
    tonic_prost_build::configure()
        .out_dir(out.path())
        .btree_map(".")
        .bytes(".barid.session_pool.v1.IngestWebhookRequest")
        .bytes(".barid.session_pool.v1.FetchMediaResponse")
        .bytes(".barid.queue.v1.MediaPart")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .extern_path(".google.api.HttpBody", "crate::HttpBody")
        .compile_fds(compiler.file_descriptor_set())?;

    let mut files = BTreeMap::new();
    // prost-types knows no extensions; the descriptors that protox encodes keep the annotations.
    files.insert("descriptors.bin".to_owned(), compiler.encode_file_descriptor_set());
    for entry in fs::read_dir(out.path())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("barid.") {
            files.insert(name, fs::read(&path)?);
        }
    }
    prost_types::FileDescriptorSet::decode(files["descriptors.bin"].as_slice())?;
    Ok(files)
}

fn proto_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(proto_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn differences(kept: &Path, fresh: &BTreeMap<String, Vec<u8>>) -> Result<Vec<String>> {
    let mut stale: Vec<String> = fresh
        .iter()
        .filter(|(name, content)| fs::read(kept.join(name)).ok().as_ref() != Some(content))
        .map(|(name, _)| name.clone())
        .collect();
    if kept.exists() {
        for entry in fs::read_dir(kept)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !fresh.contains_key(&name) {
                stale.push(name);
            }
        }
    }
    Ok(stale)
}
