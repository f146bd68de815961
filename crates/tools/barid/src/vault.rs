//! `barid vault`.

use anyhow::Result;

use crate::cli::Vault;

pub(crate) fn run(command: Vault) -> Result<()> {
    match command {
        Vault::NewKey => println!("{}", barid_vault::MasterKey::generate()),
    }
    Ok(())
}
