//! The commands, a module each. Those on files follow the rules of their namesakes in
//! coreutils, findutils and util-linux.

pub(crate) mod attributes;
pub(crate) mod build;
pub(crate) mod capabilities;
pub(crate) mod cat;
pub(crate) mod check_log;
pub(crate) mod contents;
pub(crate) mod cp;
pub(crate) mod df;
pub(crate) mod dirs;
pub(crate) mod du;
pub(crate) mod facl;
pub(crate) mod fattr;
pub(crate) mod find;
pub(crate) mod flags;
pub(crate) mod fstrim;
pub(crate) mod generate;
pub(crate) mod info;
mod kernel_log;
pub(crate) mod label;
pub(crate) mod ln;
pub(crate) mod ls;
pub(crate) mod mount;
pub(crate) mod mv;
mod place;
pub(crate) mod repart;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod scrub;
pub(crate) mod shell;
pub(crate) mod stat;
pub(crate) mod subvolume;
pub(crate) mod tar;
pub(crate) mod touch;
pub(crate) mod tree;
pub(crate) mod umount;
