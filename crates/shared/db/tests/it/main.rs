mod checkpoint;
mod grants;
mod house;
mod isolation;
mod line;
mod outbox;
mod silence;
mod transactions;
