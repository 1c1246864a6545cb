package dialect

import (
	"fmt"
	"slices"
	"strings"
)

// Limits of topics. Real ones stay below (HSL's public feed has 18 levels); the bound keeps a route small.
const (
	MaxTopicBytes  = 512
	MaxTopicLevels = 24
)

// template matches topics level by level. A level is literal text or a {name} that matches any one level, and one may be
// {name...}, which matches one or more: as many as the levels around it leave. Levels are compared as they are: no cleaning
// of paths, no unescaping.
type template struct {
	text   string
	levels []level
	rest   int // the place of {name...}, or -1
}

type level struct {
	literal string
	name    string // of a capture; "" for a literal
}

func parseTemplate(text string) (template, error) {
	t := template{text: text, rest: -1}
	if text == "" || len(text) > MaxTopicBytes || strings.Count(text, "/") >= MaxTopicLevels {
		return template{}, fmt.Errorf("parse template %q: is empty, too long or too deep", text)
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, "/") {
		l, rest, err := parseLevel(part)
		if err != nil {
			return template{}, fmt.Errorf("parse template %q: %w", text, err)
		}
		if rest && t.rest >= 0 {
			return template{}, fmt.Errorf("parse template %q: has {…...} twice", text)
		}
		if l.name != "" && seen[l.name] {
			return template{}, fmt.Errorf("parse template %q: names {%s} twice", text, l.name)
		}
		seen[l.name] = true
		if rest {
			t.rest = len(t.levels)
		}
		t.levels = append(t.levels, l)
	}
	return t, nil
}

func parseLevel(part string) (l level, rest bool, err error) {
	inner, isCapture := strings.CutPrefix(part, "{")
	if !isCapture {
		if strings.ContainsAny(part, "{}+#\x00") {
			return level{}, false, fmt.Errorf("level %q is neither literal nor {name}", part)
		}
		return level{literal: part}, false, nil
	}
	name, closed := strings.CutSuffix(inner, "}")
	name, rest = strings.CutSuffix(name, "...")
	if !closed || name == "" || strings.ContainsAny(name, "{}+#.\x00") {
		return level{}, false, fmt.Errorf("level %q is neither literal nor {name}", part)
	}
	return level{name: name}, rest, nil
}

// match tells whether the topic is of the template and returns the texts of its captures, in their order.
func (t *template) match(topic string) (captures []string, ok bool) {
	behind := 0 // levels that follow the rest
	if t.rest >= 0 {
		behind = len(t.levels) - 1 - t.rest
	}
	for i, l := range t.levels {
		part, after, more := strings.Cut(topic, "/")
		last := i == len(t.levels)-1
		if i == t.rest {
			part, after, more = cutRest(topic, behind)
		}
		if more == last || l.name == "" && part != l.literal || i == t.rest && part == "" {
			return nil, false
		}
		if l.name != "" {
			captures = append(captures, part)
		}
		topic = after
	}
	return captures, true
}

// cutRest cuts off the last levels of a topic. more tells whether there are any; where there are fewer than that, part is
// empty.
func cutRest(topic string, levels int) (part, after string, more bool) {
	if levels == 0 {
		return topic, "", false
	}
	at := len(topic)
	for range levels {
		if at = strings.LastIndexByte(topic[:at], '/'); at < 0 {
			return "", topic, true
		}
	}
	return topic[:at], topic[at+1:], true
}

// capture returns the text of the named level among the captures that match returned.
func (t *template) capture(captures []string, name string) (string, bool) {
	n := 0
	for _, l := range t.levels {
		if l.name == "" {
			continue
		}
		if l.name == name {
			return captures[n], true
		}
		n++
	}
	return "", false
}

// has tells whether the template has a level of that name.
func (t *template) has(name string) bool {
	return slices.ContainsFunc(t.levels, func(l level) bool { return l.name != "" && l.name == name })
}

// isRest tells whether the level of that name is the one that matches all that follows.
func (t *template) isRest(name string) bool { return t.rest >= 0 && t.levels[t.rest].name == name }

// moreSpecific tells whether t is to be asked before u: at the first level in which they differ, a literal goes before
// a name, and a name before the rest of a topic.
func (t *template) moreSpecific(u *template) bool {
	for i := range min(len(t.levels), len(u.levels)) {
		if a, b := t.rank(i), u.rank(i); a != b {
			return a > b
		}
	}
	return len(t.levels) > len(u.levels)
}

func (t *template) rank(i int) int {
	switch {
	case t.levels[i].name == "":
		return 2
	case i == t.rest:
		return 0
	}
	return 1
}
