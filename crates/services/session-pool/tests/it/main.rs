mod choosing;
mod house;
mod ledger;
mod ownership;
mod sending;
mod sessions;
mod webhooks;
mod whatsapp;
