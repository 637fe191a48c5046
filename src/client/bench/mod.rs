//! The workload of `vllm bench serve` without Python: its random dataset, its arrivals, its metrics, its
//! results. Semantics as of vLLM 0.32 (`vllm/benchmarks/serve.py`), measured against it.

mod arrivals;
mod dataset;
mod drive;
mod metrics;
mod numpy;
mod result;
mod sse;
mod text;

pub(crate) use dataset::RandomDataset;
pub(crate) use drive::drive;
pub(crate) use metrics::BenchMetrics;
pub(crate) use result::{result_json, table};
