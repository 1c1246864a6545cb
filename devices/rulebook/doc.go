// Package rulebook keeps what people want to be told of: rules, the fences that they speak of, and the webhooks that are
// told.
//
// It owns their records in the store, a copy in memory that follows the store, and the compiled set that owners ask,
// with what is wrong with each rule. It refuses to own what a rule means (bridge/rules), who may see or change one (the
// people's door), when rules are asked (the bridge) and how webhooks are called (gateway/webhook).
//
// In the walk of a message it stands beside the bridge, as the registry does: a change is seen by every process within
// moments, and an owner commits with each flush how far it had them.
package rulebook
