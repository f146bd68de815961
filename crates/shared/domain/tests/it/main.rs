mod id;
mod phone;
