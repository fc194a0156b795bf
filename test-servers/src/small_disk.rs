//! A file system that is soon full.
#![allow(clippy::unwrap_used, reason = "a test that cannot have its disk has failed")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A file system in memory, gone on drop.
#[derive(Debug)]
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// Nothing if this is not for us to do: only root mounts.
    ///
    /// # Panics
    /// When no directory can be made.
    #[must_use]
    pub fn mount(mebibytes: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m,mode=755");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            Some(Self { directory })
        } else {
            eprintln!(
                "SKIPPED: a small file system cannot be mounted; root may, where containers do not forbid it"
            );
            None
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Leaves no room.
    ///
    /// # Panics
    /// When nothing can be written from the beginning.
    pub fn fill(&self) {
        let mut ballast = File::create(self.path().join("ballast")).unwrap();
        while ballast.write_all(&[0; 64 * 1024]).is_ok() {}
    }

    /// Takes back what filled it.
    ///
    /// # Panics
    /// When it was not filled.
    pub fn make_room(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process of the server may still be ending.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
