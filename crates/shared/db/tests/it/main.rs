mod checkpoint;
mod grants;
mod house;
mod isolation;
mod outbox;
mod transactions;
