//! Models on a server's disk.

use reqwest::Method;
use serde_json::Value;

use super::session::{self, python};
use super::{confirm, print, table};
use crate::args::{CachedArgs, RemoveCacheArgs};
use crate::exit::Failure;

/// A table with every field that the server reports.
pub(super) async fn list(args: &CachedArgs) -> Result<(), Failure> {
    let server = session::open(&args.connection).await?;
    let query = pairs(&[("model_name", &args.model_name), ("worker_ip", &args.worker_ip)]);
    let answer = server.get("list cached model", &["v1", "cache", "models"]).query(&query).send().await?;
    let models: Vec<&Value> = answer["list"].as_array().into_iter().flatten().collect();
    let Some(first) = models.first().and_then(|model| model.as_object()) else {
        return print("There are no cache files.\n");
    };
    let head: Vec<String> = first.keys().cloned().collect();
    let cell = |value: &Value| if value.is_null() { "-".to_owned() } else { python(value) };
    let rows: Vec<Vec<String>> =
        models.iter().map(|model| head.iter().map(|name| cell(&model[name])).collect()).collect();
    print(&format!("cached_model: \n{}", table::framed(&head, &rows)))
}

/// Deletes one, after asking.
pub(super) async fn remove(args: &RemoveCacheArgs) -> Result<(), Failure> {
    let server = session::open(&args.connection).await?;
    let version = &args.model_version;
    let mut query = pairs(&[("worker_ip", &args.worker_ip)]);
    query.push(("model_version", version));
    if !args.check {
        let path = ["v1", "cache", "models", "files"];
        let answer = server.get("get paths by model name", &path).query(&query).send().await?;
        let paths: Vec<String> = answer["paths"].as_array().into_iter().flatten().map(python).collect();
        if paths.is_empty() {
            return print(&format!("There is no model version named {version}.\n"));
        }
        print(&format!("Model {version} cache directory to be deleted:\n{}\n", paths.join("\n")))?;
        if !confirm("Do you want to proceed with the deletion? [y/N]: ")? {
            return Err(Failure::Failed(Some("Aborted!".to_owned())));
        }
    }
    let request = server.request("remove cached models", Method::DELETE, &["v1", "cache", "models"]);
    let answer = request.query(&query).send().await?;
    if answer["result"] != Value::Bool(true) {
        let message = format!("Cache directory {version} fail to be deleted. Please check the server's log.");
        return Err(Failure::Failed(Some(message)));
    }
    print(&format!("Cache directory {version} has been deleted.\n"))
}

fn pairs<'a>(options: &[(&'a str, &'a Option<String>)]) -> Vec<(&'a str, &'a str)> {
    options.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect()
}
