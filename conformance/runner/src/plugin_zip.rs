//! Unpacks a released plugin: stored and deflated files, into a folder and nowhere else.

use std::io::{Read, Write};
use std::path::Path;

use rawzip::{CompressionMethod, ZipArchive};

/// So much comes out of a zip at most: plugins bring some ten executables of 50 MB.
const LIMIT: u64 = 4 << 30;

/// Why a zip is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The zip or the folder.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is no zip, or a broken one.
    #[error("{0}")]
    Zip(#[from] rawzip::Error),
    /// Neither stored nor deflated.
    #[error("`{0}` is compressed in a way that plugins are not: zip it with `zip -r`")]
    Compression(String),
    /// More than a plugin can be.
    #[error("more than {} GiB come out of it", LIMIT >> 30)]
    Bomb,
}

/// Unpacks all files of a zip; everything may be executed, as zips of some tools keep no permissions.
///
/// # Errors
/// A zip that is broken or not one.
pub fn unpack(bytes: &[u8], folder: &Path) -> Result<(), UnpackError> {
    let archive = ZipArchive::from_slice(bytes)?;
    let mut left = LIMIT;
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry()? {
        // Normalised: relative, without `..`.
        let name = entry.file_path().try_normalize()?.as_ref().to_owned();
        let path = folder.join(&name);
        if entry.is_dir() {
            std::fs::create_dir_all(&path)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let method = entry.compression_method();
        let inner = archive.get_entry(entry.wayfinder())?;
        let reader: Box<dyn Read + '_> = match method {
            CompressionMethod::STORE => Box::new(inner.verifying_reader(inner.data())),
            CompressionMethod::DEFLATE => {
                Box::new(inner.verifying_reader(flate2::bufread::DeflateDecoder::new(inner.data())))
            }
            _ => return Err(UnpackError::Compression(name)),
        };
        let mut file = program(&path)?;
        let written = std::io::copy(&mut reader.take(left), &mut file)?;
        file.flush()?;
        left = left.saturating_sub(written);
        if left == 0 {
            return Err(UnpackError::Bomb);
        }
    }
    Ok(())
}

fn program(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // An existing file means a name that occurs twice: refused, rather than one of the two chosen.
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(path)
}
