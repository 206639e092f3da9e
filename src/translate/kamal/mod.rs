//! Kamal's `config/deploy.yml`: the part that its proxy gets.

mod translate;

pub(super) use translate::translate;
