//! The connectors against a simulated WhatsApp, and against servers that misbehave.

mod broken;
mod cloud;
mod support;
mod web;
mod webhooks;
