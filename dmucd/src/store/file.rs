//! The files of `export` and `import`.

use std::io;
use std::path::Path;

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncWrite, BufReader};

use super::Failure;

/// What stands for standard input and output.
const STANDARD: &str = "-";

/// Makes a file for its owner alone: it holds everything that was said. One that is there is left alone.
pub async fn create(file: &Path) -> Result<Box<dyn AsyncWrite + Unpin + Send>, Failure> {
    if file == Path::new(STANDARD) {
        return Ok(Box::new(tokio::io::stdout()));
    }
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).await;
    Ok(Box::new(opened.map_err(|error| Failure::File { file: file.to_owned(), error })?))
}

/// Opens a file. Standard input goes to a file without a name first, as it is read several times.
pub async fn open(file: &Path) -> Result<BufReader<File>, Failure> {
    let opened = if file == Path::new(STANDARD) { spool().await } else { File::open(file).await };
    opened.map(BufReader::new).map_err(|error| Failure::File { file: file.to_owned(), error })
}

async fn spool() -> io::Result<File> {
    let mut file = File::from_std(tempfile::tempfile()?);
    tokio::io::copy(&mut tokio::io::stdin(), &mut file).await?;
    Ok(file)
}
