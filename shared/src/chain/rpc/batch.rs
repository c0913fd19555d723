//! Many questions in one request, and what of them is still open after it.

use std::collections::VecDeque;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::reply::{Refusal, Reply, refusal};
use super::{JsonRpc, Limit, RpcError, is_worth_it, limit, request};

/// A question's parameters, and its place among all.
type Question<'a> = (usize, &'a Value);

/// Questions on the way to their answers.
struct Batch<'a, T> {
    open: VecDeque<Question<'a>>,
    answers: Vec<Option<Result<T, RpcError>>>,
}

impl JsonRpc {
    /// What the node answers to `method` with each of these parameters, in their order, by as few requests as the node
    /// takes. Those that it turns away for being too many are asked again, fewer at once.
    pub async fn batch<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &[Value],
    ) -> Result<Vec<Result<T, RpcError>>, RpcError> {
        let mut batch = Batch::new(params);
        let (mut refusals, mut began) = (0_usize, Instant::now());
        // Each round answers a question or adds to the refusals.
        while let Some(some) = batch.next(self.pace.batch()) {
            let turn = self.pace.turn(some.len()).await.map_err(RpcError::Paused)?;
            let turned_away = match self.ask_batch(method, &some).await {
                Ok(told) => batch.keep(&some, told),
                Err(refusal) if limit(&refusal.error) == Some(Limit::Pace) => Some((some.clone(), refusal)),
                Err(refusal) => return Err(refusal.error),
            };
            let Some((open, Refusal { error, wish })) = turned_away else {
                turn.answered(method, some.len());
                continue;
            };
            let answered = some.len().saturating_sub(open.len());
            if answered > 0 {
                (refusals, began) = (0, Instant::now());
            }
            refusals = refusals.saturating_add(1);
            if !turn.refused(method, (some.len(), answered), wish) || !is_worth_it(refusals, began) {
                return Err(error);
            }
            batch.put_back(open);
        }
        batch.answers(method)
    }

    /// What the node answers to each of these questions, in their order, by one request.
    async fn ask_batch<T: DeserializeOwned>(
        &self,
        method: &'static str,
        questions: &[Question<'_>],
    ) -> Result<Vec<Result<T, Refusal>>, Refusal> {
        let requests = questions.iter().map(|(id, params)| request(method, *id, params)).collect();
        let (body, wish) = self.ask(method, &Value::Array(requests)).await?;
        let Ok(mut replies) = serde_json::from_slice::<Vec<Reply<Box<RawValue>>>>(&body) else {
            // Who takes no batches says so once.
            return Err(refusal(method, &body).or(wish));
        };
        replies.sort_unstable_by_key(|reply| reply.id);
        if !replies.iter().map(|reply| reply.id).eq(questions.iter().map(|(id, _)| Some(*id))) {
            return Err(RpcError::Shape(method).into());
        }
        let read = |result: Box<RawValue>| {
            serde_json::from_str(result.get()).map_err(|_| RpcError::Shape(method).into())
        };
        let answer = |reply: Reply<Box<RawValue>>| reply.answer(method).map_err(|refusal| refusal.or(wish));
        Ok(replies.into_iter().map(|reply| answer(reply).and_then(read)).collect())
    }
}

impl<'a, T> Batch<'a, T> {
    fn new(params: &'a [Value]) -> Batch<'a, T> {
        let answers = params.iter().map(|_| None).collect();
        Batch { open: params.iter().enumerate().collect(), answers }
    }

    /// The next questions, so many at most; `None` when all are answered. Some nodes take no empty batch.
    fn next(&mut self, most: usize) -> Option<Vec<Question<'a>>> {
        let some: Vec<_> = self.open.drain(..self.open.len().min(most.max(1))).collect();
        (!some.is_empty()).then_some(some)
    }

    /// Keeps what was answered; gives the questions that were turned away for being too many, if any, and why.
    fn keep(
        &mut self,
        asked: &[Question<'a>],
        told: Vec<Result<T, Refusal>>,
    ) -> Option<(Vec<Question<'a>>, Refusal)> {
        let (mut open, mut why) = (Vec::new(), None);
        for (question, answer) in asked.iter().zip(told) {
            match answer {
                Err(refusal) if limit(&refusal.error) == Some(Limit::Pace) => {
                    open.push(*question);
                    why = Some(refusal);
                }
                answer => {
                    if let Some(place) = self.answers.get_mut(question.0) {
                        *place = Some(answer.map_err(|refusal| refusal.error));
                    }
                }
            }
        }
        why.map(|why| (open, why))
    }

    fn put_back(&mut self, questions: Vec<Question<'a>>) {
        for question in questions.into_iter().rev() {
            self.open.push_front(question);
        }
    }

    fn answers(self, method: &'static str) -> Result<Vec<Result<T, RpcError>>, RpcError> {
        self.answers.into_iter().map(|answer| answer.ok_or(RpcError::Shape(method))).collect()
    }
}
