//! Tests of the pay page.
