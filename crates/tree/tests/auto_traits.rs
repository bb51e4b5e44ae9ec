//! Which public types are `Send`, `Sync` and `Unpin`: all of them, a line each. A
//! type that ceases to be is a change that breaks programs.

use drupe_testing::assert_auto_traits;

assert_auto_traits! {
    drupe_tree::Algorithm: Send, Sync, Unpin;
    drupe_tree::ArchiveOptions: Send, Sync, Unpin;
    drupe_tree::Backup: Send, Sync, Unpin;
    drupe_tree::BuildOptions: Send, Sync, Unpin;
    drupe_tree::Compression: Send, Sync, Unpin;
    drupe_tree::CopyOptions: Send, Sync, Unpin;
    drupe_tree::Error: Send, Sync, Unpin;
    drupe_tree::ExtractOptions: Send, Sync, Unpin;
    drupe_tree::Format: Send, Sync, Unpin;
    drupe_tree::ImageLocation: Send, Sync, Unpin;
    drupe_tree::Interrupt: Send, Sync, Unpin;
    drupe_tree::Location: Send, Sync, Unpin;
    drupe_tree::ModeChange: Send, Sync, Unpin;
    drupe_tree::Names: Send, Sync, Unpin;
    drupe_tree::Numbers: Send, Sync, Unpin;
    drupe_tree::Outcome: Send, Sync, Unpin;
    drupe_tree::OutputFile: Send, Sync, Unpin;
    drupe_tree::Overrides: Send, Sync, Unpin;
    drupe_tree::Owners: Send, Sync, Unpin;
    drupe_tree::Policy: Send, Sync, Unpin;
    drupe_tree::Replacing: Send, Sync, Unpin;
    drupe_tree::Silent: Send, Sync, Unpin;
    drupe_tree::Time: Send, Sync, Unpin;
    drupe_tree::Umask: Send, Sync, Unpin;
    drupe_tree::Node<'static>: Send, Sync, Unpin;
    drupe_tree::Stop<std::io::Error>: Send, Sync, Unpin;
    drupe_tree::Waiting<std::fs::File>: Send, Sync, Unpin;
    drupe_tree::Walk<'static>: Send, Sync, Unpin;
    drupe_tree::Change: Send, Sync, Unpin;
    drupe_tree::DiffOptions: Send, Sync, Unpin;
    drupe_tree::Difference: Send, Sync, Unpin;
    drupe_tree::Field: Send, Sync, Unpin;
    drupe_tree::acl::Acl: Send, Sync, Unpin;
    drupe_tree::acl::Acls: Send, Sync, Unpin;
    drupe_tree::acl::Change: Send, Sync, Unpin;
    drupe_tree::acl::Entries: Send, Sync, Unpin;
    drupe_tree::acl::Entry: Send, Sync, Unpin;
    drupe_tree::acl::Who: Send, Sync, Unpin;
    drupe_tree::capabilities::Capabilities: Send, Sync, Unpin;
    drupe_tree::flags::FlagChange: Send, Sync, Unpin;
    drupe_tree::inspect::Fstab: Send, Sync, Unpin;
    drupe_tree::inspect::Package: Send, Sync, Unpin;
    drupe_tree::inspect::System: Send, Sync, Unpin;
    drupe_tree::inspect::User: Send, Sync, Unpin;
}
