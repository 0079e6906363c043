//! The router: a plan for a question, an answer from results.
//!
//! # Invariants
//!
//! * [`Router::plan`] and [`Router::answer`] never fail. A model that is offline, slow or talks
//!   nonsense costs time, never the truth: the search plans, the tools speak for themselves.
//! * A model is asked only for what the search leaves open. Where the search is clear, the model
//!   fills arguments and does not choose; where also every argument stands in the query, it is
//!   not asked; where no tool comes near, it is offered none.

use std::sync::Arc;

use dormouse_types::{Arguments, Message, Outcome, Tool};
use jiff::Zoned;

use crate::answer::{Answer, concatenation, step_text, without_model};
use crate::model::{Endpoint, Model, ModelError, ModelSettings, Models, Prompt, Tokens};
use crate::plan::{Aided, Plan, Planned, Unaided, decide, read};
use crate::prompt::{choice, direct, planning, synthesis};
use crate::repair::{InvalidArguments, Receipt, Repairer};
use crate::search::{Ability, Candidate};

/// Below this fit of the best candidate a model is offered no tool at all. Small models call
/// something whenever they can.
const OFFER_FROM: f64 = 0.3;
/// How much better than the second the best candidate's score must be to wake its server ahead.
const AHEAD: f64 = 1.3;

/// A question with all that a plan and an answer need.
#[derive(Debug, Clone)]
pub struct Question<'q> {
    /// The question in plain words.
    pub query: &'q str,
    /// The conversation so far, oldest first.
    pub history: &'q [Message],
    /// The tools that it may mean, best first.
    pub candidates: Vec<Candidate>,
    /// The calls that were made for it, in order.
    pub done: &'q [StepDone],
    /// What the hub can do, for an answer without model and tool; see [`crate::SearchIndex::abilities`].
    pub abilities: Vec<Ability>,
}

/// One call that was made for a question.
#[derive(Debug, Clone, PartialEq)]
pub struct StepDone {
    /// The tool's full name.
    pub full_name: String,
    /// What it was called with.
    pub arguments: Arguments,
    /// How it ended.
    pub outcome: Outcome,
    /// Its result as text, or why there is none.
    pub text: String,
}

/// Plans calls and writes answers. Cheap to clone; clones share the model and the validators.
#[derive(Debug, Clone)]
pub struct Router {
    models: Arc<Models>,
    repairer: Arc<Repairer>,
}

impl Router {
    /// A router with these settings. Nothing is contacted yet.
    pub fn new(settings: ModelSettings) -> Self {
        Self { models: Arc::new(Models::new(settings)), repairer: Arc::new(Repairer::new()) }
    }

    /// The name of the model in use now, such as `ollama:llama3.2`; looks for one if need be.
    pub async fn model_name(&self) -> Option<String> {
        self.models.get().await.ok().map(|model| model.name())
    }

    /// Why there is no model, or how to get one; `None` when there is one or none is wanted.
    pub async fn model_hint(&self) -> Option<String> {
        self.models.get().await.err().flatten()
    }

    /// How tools can reach the model by themselves, if they can.
    pub async fn endpoint(&self) -> Option<Endpoint> {
        self.models.get().await.ok()?.endpoint()
    }

    /// Whether a model will probably take part, as far as is known without asking.
    pub fn expects_model(&self) -> bool {
        self.models.expects_one()
    }

    /// Whether the first candidate stands out so much that its server is worth waking before the plan.
    pub fn is_clear(&self, candidates: &[Candidate]) -> bool {
        match candidates {
            [] => false,
            [_] => true,
            [first, second, ..] => first.score >= AHEAD * second.score,
        }
    }

    /// Makes arguments valid for a tool, with a receipt for each change; see [`Repairer::repair`].
    ///
    /// # Errors
    /// [`InvalidArguments`] with everything that is still wrong.
    pub fn repair(
        &self,
        tool: &Tool,
        arguments: Arguments,
    ) -> Result<(Arguments, Vec<Receipt>), InvalidArguments> {
        self.repairer.repair(tool, arguments)
    }

    /// As [`repair`](Self::repair), but what cannot be made valid comes back as it is.
    pub fn repair_or_keep(&self, tool: &Tool, arguments: Arguments) -> (Arguments, Vec<Receipt>) {
        self.repairer.repair_or_keep(tool, arguments)
    }

    /// Decides what to do for a question. Never fails.
    pub async fn plan(&self, question: &Question<'_>) -> Planned {
        let unaided = decide(question.query, &question.candidates, &self.repairer, Zoned::now().datetime());
        let is_first = question.done.is_empty();
        if is_first && unaided.is_sure {
            return self.planned(question, unaided, None);
        }
        if question.candidates.is_empty() || unaided.best_fit < OFFER_FROM {
            return self.planned(question, unaided, None);
        }
        let model = match self.models.get().await {
            Ok(model) => model,
            Err(reason) => return self.planned(question, unaided, reason),
        };
        let is_clear = is_first && unaided.clear.is_some();
        let offered: Vec<&Candidate> = match unaided.clear.filter(|_| is_clear) {
            Some(place) => vec![&question.candidates[place]],
            None => question.candidates.iter().collect(),
        };
        match self.ask(&*model, question, &offered, is_clear).await {
            Ok(Aided { plan, more, reasons }) => Planned {
                plan,
                candidates: question.candidates.clone(),
                model: Some(model.name()),
                more,
                reasons,
            },
            Err(fault) => self.planned(question, unaided, Some(format!("{fault}; planned without it"))),
        }
    }

    /// The plan that the search makes alone, with the reason why it had to.
    fn planned(&self, question: &Question<'_>, unaided: Unaided, reason: Option<String>) -> Planned {
        let mut reasons: Vec<String> = reason.into_iter().collect();
        // Nobody reads results without a model: one round is all.
        let plan = if question.done.is_empty() {
            reasons.extend(unaided.reasons);
            unaided.plan
        } else {
            Plan::NoTool { reason: "without a model there is one round of calls".to_owned() }
        };
        Planned { plan, candidates: question.candidates.clone(), model: None, more: false, reasons }
    }

    /// Asks the model for a plan, and once more with what was wrong.
    async fn ask(
        &self,
        model: &dyn Model,
        question: &Question<'_>,
        offered: &[&Candidate],
        is_clear: bool,
    ) -> Result<Aided, String> {
        let choice = choice(offered, is_clear);
        let mut fault: Option<String> = None;
        for _ in 0..2 {
            let prompt = planning(question, &choice, is_clear, fault.as_deref());
            let said = match model.choose(&prompt, &choice).await {
                Ok(value) => read(&value, offered, question, &self.repairer)
                    .map_err(|problem| format!("the model's plan is wrong: {problem}")),
                Err(error) if error.is_garbage() => Err(error.to_string()),
                Err(error) => {
                    self.models.is_offline(&error);
                    return Err(error.to_string());
                }
            };
            match said {
                Ok(aided) => return Ok(aided),
                Err(problem) => fault = Some(problem),
            }
        }
        Err(fault.unwrap_or_else(|| "the model made no plan".to_owned()))
    }

    /// Says what came of a question. Never fails; `tokens` gets the text as it is written.
    ///
    /// When a text breaks off, the tools' own words follow in `tokens` after an empty line; the
    /// answer itself holds only these.
    pub async fn answer(&self, question: &Question<'_>, plan: &Plan, tokens: &Tokens<'_>) -> Answer {
        let answer = match question.done {
            [] => match plan {
                Plan::AskBack { .. } => own(without_model(question, plan)),
                Plan::NoTool { .. } | Plan::Calls(_) => return self.directly(question, plan, tokens).await,
            },
            [only] => own(step_text(only)),
            steps => return self.together(question, steps, plan, tokens).await,
        };
        let answer = with_question(answer, plan, question);
        tokens(&answer.text);
        answer
    }

    /// The model's own answer, or what the hub can do.
    async fn directly(&self, question: &Question<'_>, plan: &Plan, tokens: &Tokens<'_>) -> Answer {
        let said = self.write(&direct(question), tokens).await;
        said.unwrap_or_else(|reason| {
            let told = without_model(question, plan);
            let text = match &reason {
                Some((reason, true)) => format!("{}. {told}", capitalised(reason)),
                _ => told,
            };
            tokens(&text);
            Answer { text, model: None, reasons: reason.into_iter().map(|(reason, _)| reason).collect() }
        })
    }

    /// One text out of several results. What failed is told in the hub's words, so that no model can hide it.
    async fn together(
        &self,
        question: &Question<'_>,
        steps: &[StepDone],
        plan: &Plan,
        tokens: &Tokens<'_>,
    ) -> Answer {
        let (good, bad): (Vec<StepDone>, Vec<StepDone>) =
            steps.iter().cloned().partition(|step| step.outcome == Outcome::Ok);
        let mut reasons = Vec::new();
        if good.len() > 1 {
            match self.write(&synthesis(question, &good), tokens).await {
                Ok(mut answer) => {
                    let faults: String = bad.iter().map(|step| format!("\n\n{}", step_text(step))).collect();
                    if !faults.is_empty() {
                        tokens(&faults);
                        answer.text.push_str(&faults);
                    }
                    return answer;
                }
                Err(reason) => reasons.extend(reason.map(|(reason, _)| reason)),
            }
        }
        let mut answer = with_question(own(concatenation(steps)), plan, question);
        answer.reasons = reasons;
        tokens(&answer.text);
        answer
    }

    /// Lets the model write; the error is why it did not, and whether it failed rather than being absent.
    async fn write(&self, prompt: &Prompt, tokens: &Tokens<'_>) -> Result<Answer, Option<(String, bool)>> {
        let model = self.models.get().await.map_err(|reason| reason.map(|reason| (reason, false)))?;
        let began = std::sync::atomic::AtomicBool::new(false);
        let noted = |token: &str| {
            began.store(true, std::sync::atomic::Ordering::Relaxed);
            tokens(token);
        };
        match model.write(prompt, &noted).await {
            Ok(text) => Ok(Answer { text, model: Some(model.name()), reasons: Vec::new() }),
            Err(error) => {
                self.models.is_offline(&error);
                if began.load(std::sync::atomic::Ordering::Relaxed) {
                    tokens("\n\n");
                }
                Err(Some((said(&error), true)))
            }
        }
    }
}

fn said(error: &ModelError) -> String {
    error.to_string()
}

fn own(text: String) -> Answer {
    Answer { text, model: None, reasons: Vec::new() }
}

/// After results, a question that the plan still has goes to their end.
fn with_question(mut answer: Answer, plan: &Plan, question: &Question<'_>) -> Answer {
    if let (Plan::AskBack { question: asked, .. }, false) = (plan, question.done.is_empty()) {
        answer.text.push_str("\n\n");
        answer.text.push_str(asked);
    }
    answer
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
