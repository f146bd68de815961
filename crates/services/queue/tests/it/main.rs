mod claims;
mod house;
mod receipts;
mod secrecy;
