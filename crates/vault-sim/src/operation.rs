//! Owns the table of operations: names in the log, permissions, RBAC actions.

use crate::profile::Profile;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Import,
    Get,
    List,
    ListVersions,
    Update,
    Delete,
    GetDeleted,
    ListDeleted,
    Recover,
    Purge,
    Rotate,
    GetRotationPolicy,
    SetRotationPolicy,
    Sign,
    Verify,
    Backup,
    Restore,
    GetAttestation,
}

/// What a role may grant, in the words of access policies.
pub const PERMISSIONS: [&str; 15] = [
    "get",
    "list",
    "create",
    "import",
    "update",
    "delete",
    "recover",
    "purge",
    "rotate",
    "sign",
    "verify",
    "backup",
    "restore",
    "getrotationpolicy",
    "setrotationpolicy",
];

impl Operation {
    /// Its `operationName` in the audit log.
    pub fn log_name(self) -> &'static str {
        match self {
            Self::Create => "KeyCreate",
            Self::Import => "KeyImport",
            Self::Get => "KeyGet",
            Self::List => "KeyList",
            Self::ListVersions => "KeyListVersions",
            Self::Update => "KeyUpdate",
            Self::Delete => "KeyDelete",
            Self::GetDeleted => "KeyGetDeleted",
            Self::ListDeleted => "KeyListDeleted",
            Self::Recover => "KeyRecover",
            Self::Purge => "KeyPurge",
            Self::Rotate => "KeyRotate",
            Self::GetRotationPolicy => "KeyRotationPolicyGet",
            Self::SetRotationPolicy => "KeyRotationPolicySet",
            Self::Sign => "KeySign",
            Self::Verify => "KeyVerify",
            Self::Backup => "KeyBackup",
            Self::Restore => "KeyRestore",
            Self::GetAttestation => "KeyGetAttestation",
        }
    }

    /// The permission of an access policy.
    pub fn permission(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Import => "import",
            Self::Get | Self::GetDeleted | Self::GetAttestation => "get",
            Self::List | Self::ListVersions | Self::ListDeleted => "list",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Recover => "recover",
            Self::Purge => "purge",
            Self::Rotate => "rotate",
            Self::GetRotationPolicy => "getrotationpolicy",
            Self::SetRotationPolicy => "setrotationpolicy",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }

    /// The RBAC data action.
    pub fn data_action(self, profile: Profile) -> String {
        match profile {
            Profile::Vault => format!("Microsoft.KeyVault/vaults/{}", self.vault_action()),
            Profile::ManagedHsm => format!("Microsoft.KeyVault/managedHsm/keys/{}", self.hsm_action()),
        }
    }

    fn vault_action(self) -> &'static str {
        match self {
            Self::Create => "keys/create/action",
            Self::Import => "keys/import/action",
            Self::Get
            | Self::List
            | Self::ListVersions
            | Self::GetDeleted
            | Self::ListDeleted
            | Self::GetAttestation => "keys/read",
            Self::Update => "keys/update/action",
            Self::Delete => "keys/delete",
            Self::Recover => "keys/recover/action",
            Self::Purge => "keys/purge/action",
            Self::Rotate => "keys/rotate/action",
            Self::GetRotationPolicy => "keyrotationpolicies/read",
            Self::SetRotationPolicy => "keyrotationpolicies/write",
            Self::Sign => "keys/sign/action",
            Self::Verify => "keys/verify/action",
            Self::Backup => "keys/backup/action",
            Self::Restore => "keys/restore/action",
        }
    }

    /// As the service's role definitions have it; those of rotation follow the pattern of the others.
    fn hsm_action(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Import => "import/action",
            Self::Get | Self::List | Self::ListVersions | Self::GetAttestation | Self::GetRotationPolicy => {
                "read/action"
            }
            Self::GetDeleted | Self::ListDeleted => "deletedKeys/read/action",
            Self::Update | Self::SetRotationPolicy => "write/action",
            Self::Delete => "delete",
            Self::Recover => "deletedKeys/recover/action",
            Self::Purge => "deletedKeys/delete",
            Self::Rotate => "rotate/action",
            Self::Sign => "sign/action",
            Self::Verify => "verify/action",
            Self::Backup => "backup/action",
            Self::Restore => "restore/action",
        }
    }
}
