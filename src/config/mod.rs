//! From the text of a configuration file to a model that cannot be invalid.

pub mod model;

pub use model::Config;
