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
// {name...}, which matches one or more; after it only literals may follow. Levels are compared as they are: no cleaning
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
		if l.name != "" && t.rest >= 0 {
			return template{}, fmt.Errorf("parse template %q: has a {name} after {…...}", text)
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
	if t.rest >= 0 {
		for i := len(t.levels) - 1; i > t.rest; i-- { // what stands behind the rest, from the end
			var found bool
			if topic, found = strings.CutSuffix(topic, "/"+t.levels[i].literal); !found {
				return nil, false
			}
		}
	}
	for i, l := range t.levels {
		if i == t.rest {
			return append(captures, topic), topic != ""
		}
		last := i == len(t.levels)-1
		part, after, more := strings.Cut(topic, "/")
		if more == last {
			return nil, false
		}
		if l.name == "" {
			if part != l.literal {
				return nil, false
			}
		} else {
			captures = append(captures, part)
		}
		topic = after
	}
	return captures, true
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
