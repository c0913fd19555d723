//! What `template.yaml` says the product is: its tables, functions, routes, schedules and streams.
//! Pure: text in, `Product` out. Only what runs locally is read; the rest of the template is left alone.

mod function;
mod intrinsics;
mod pattern;
mod table;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use shared::store::Tables;

pub use pattern::Pattern;

use intrinsics::Scope;

/// Everything that `local` runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// In the template's order.
    pub tables: Vec<Table>,
    /// In the template's order.
    pub functions: Vec<Function>,
    /// Every program that the template names, also for functions that its conditions leave out.
    pub programs: BTreeSet<String>,
}

/// One DynamoDB table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The resource's name in the template.
    pub logical_id: String,
    /// The table's name in the database.
    pub name: String,
    /// The `CreateTable` request.
    pub definition: Value,
    /// The attribute that holds when an item ends.
    pub time_to_live: Option<String>,
}

/// One Lambda function.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// The resource's name in the template.
    pub name: String,
    /// The crate and program that it runs.
    pub binary: String,
    /// Its environment, before overrides.
    pub environment: BTreeMap<String, String>,
    /// The HTTP calls that it answers.
    pub routes: Vec<Route>,
    /// When it runs by itself.
    pub schedules: Vec<Schedule>,
    /// The tables whose changes it is told.
    pub streams: Vec<Stream>,
    /// How long one call may take.
    pub timeout: Duration,
    /// Memory in MB, which the function is told and nobody enforces here.
    pub memory_mb: u64,
    /// How many calls may run at once, if the template limits them.
    pub concurrency: Option<u64>,
}

/// One HTTP call: a method and a path as API Gateway writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Whatever no other route takes.
    Default,
    /// A method (`ANY` for all of them) and a path with `{variables}`.
    Call {
        /// Upper case.
        method: String,
        /// Starts with a slash.
        path: String,
    },
}

/// One schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Time between two starts.
    pub every: Duration,
    /// What the function is given instead of the usual event.
    pub input: Option<Value>,
}

/// One subscription to a table's changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// The table's name in the database.
    pub table: String,
    /// Records in one event at most.
    pub batch: usize,
    /// A record is delivered if one of them matches, or there are none.
    pub filters: Vec<Pattern>,
    /// How often a failing batch is tried again; none means as long as AWS keeps records.
    pub retries: Option<u32>,
    /// Whether the function says which records of a batch failed.
    pub reports_failures: bool,
}

/// Why the template cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is not YAML, or not a template.
    #[error("the template cannot be read: {0}")]
    Unreadable(String),
    /// One property of one resource is missing or not understood.
    #[error("{resource}: {property}: {problem}")]
    Property {
        /// The resource's name.
        resource: String,
        /// The property's path below it.
        property: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The template as it is written, with the short tags in their long form: `!Ref X` as `{"Ref": "X"}`.
pub fn document(text: &str) -> Result<Value, TemplateError> {
    yaml::parse(text).map_err(TemplateError::Unreadable)
}

impl Product {
    /// The tables' names, as the template tells them to its functions.
    pub fn table_names(&self) -> Tables {
        let name = |variable| {
            let mut functions = self.functions.iter();
            functions.find_map(|function| function.environment.get(variable)).cloned().unwrap_or_default()
        };
        Tables {
            payments: name("PAYMENTS_TABLE"),
            keys: name("KEYS_TABLE"),
            accounts: name("ACCOUNTS_TABLE"),
            addresses: name("ADDRESSES_TABLE"),
            chains: name("CHAINS_TABLE"),
        }
    }

    /// Reads a SAM template; parameters take their defaults unless `parameters` names them.
    pub fn read(text: &str, parameters: &BTreeMap<String, String>) -> Result<Product, TemplateError> {
        let template = document(text)?;
        let scope = Scope::new(&template, parameters);
        let resources = template
            .get("Resources")
            .and_then(Value::as_object)
            .ok_or_else(|| TemplateError::Unreadable("it has no Resources".into()))?;
        let mut product = Product { tables: Vec::new(), functions: Vec::new(), programs: BTreeSet::new() };
        for (id, body) in resources {
            let resource = Resource { id, body, scope: &scope };
            product.programs.extend(function::program(&resource)?);
            if !resource.wanted()? {
                continue;
            }
            match body.get("Type").and_then(Value::as_str) {
                Some("AWS::DynamoDB::Table") => product.tables.push(table::read(&resource)?),
                Some("AWS::Serverless::Function") => product.functions.push(function::read(&resource)?),
                Some(_) | None => {}
            }
        }
        Ok(product)
    }

    /// The function with this name in the template, else the only one that runs this binary.
    pub fn function(&self, name: &str) -> Option<&Function> {
        let by_name = self.functions.iter().find(|function| function.name == name);
        by_name.or_else(|| {
            let mut runs = self.functions.iter().filter(|function| function.binary == name);
            runs.next().filter(|_| runs.next().is_none())
        })
    }
}

/// One resource of the template while it is read.
struct Resource<'a> {
    id: &'a str,
    body: &'a Value,
    scope: &'a Scope<'a>,
}

impl Resource<'_> {
    /// Whether the resource's condition holds.
    fn wanted(&self) -> Result<bool, TemplateError> {
        match self.body.get("Condition").and_then(Value::as_str) {
            None => Ok(true),
            Some(name) => self.scope.condition(name).map_err(|problem| self.wrong("Condition", problem)),
        }
    }

    /// The resolved value at a path like `Properties.Environment.Variables`, or `None` where nothing is set.
    fn get(&self, path: &str) -> Result<Option<Value>, TemplateError> {
        let found = path.split('.').try_fold(self.body, |value, step| value.get(step));
        let Some(found) = found else { return Ok(None) };
        let value = self.scope.resolve(found).map_err(|problem| self.wrong(path, problem))?;
        Ok(Some(value).filter(|value| !value.is_null()))
    }

    /// The resolved value at `path`, which must be there.
    fn require(&self, path: &str) -> Result<Value, TemplateError> {
        self.get(path)?.ok_or_else(|| self.wrong(path, "is missing"))
    }

    fn wrong(&self, property: &str, problem: impl Into<String>) -> TemplateError {
        TemplateError::Property {
            resource: self.id.into(),
            property: property.into(),
            problem: problem.into(),
        }
    }
}
