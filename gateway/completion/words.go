package completion

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// A Node is a command with what may stand after it.
type Node struct {
	Name     string
	Flags    []Flag
	Children []*Node
	Values   []string // of its argument, where those are known
}

// A Flag is one, with its values where those are known.
type Flag struct {
	Name       string // without dashes
	Values     []string
	TakesValue bool
}

// Of reads a command line's definition.
func Of(k *kong.Kong) *Node { return of(k.Model.Node) }

func of(n *kong.Node) *Node {
	node := &Node{Name: n.Name}
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		node.Flags = append(node.Flags, Flag{Name: f.Name, Values: known(f.Value), TakesValue: !f.IsBool()})
		if f.Tag.Negatable != "" {
			node.Flags = append(node.Flags, Flag{Name: "no-" + f.Name})
		}
	}
	for _, p := range n.Positional {
		node.Values = append(node.Values, known(p)...)
	}
	for _, child := range n.Children {
		if !child.Hidden {
			node.Children = append(node.Children, of(child))
		}
	}
	return node
}

func known(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
}

// Find returns the command of that path, or nil.
func (n *Node) Find(path ...string) *Node {
	for _, name := range path {
		if n = n.child(name); n == nil {
			return nil
		}
	}
	return n
}

func (n *Node) child(name string) *Node {
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Complete returns the words that may stand in place of the last of words, sorted: commands, flags and values. words are
// those after the program's name, the last of which is begun, perhaps with nothing. None means that the shell may propose
// files.
func (n *Node) Complete(words []string) []string {
	words = joined(words)
	last := words[len(words)-1]
	flags := slices.Clone(n.Flags)
	var open *Flag // that waits for its value
	for _, word := range words[:len(words)-1] {
		switch {
		case open != nil:
			open = nil
		case strings.HasPrefix(word, "--"):
			open = waiting(flags, word)
		default:
			if child := n.child(word); child != nil {
				n = child
				flags = append(flags, n.Flags...)
			}
		}
	}
	var out []string
	name, begun, hasValue := strings.Cut(last, "=")
	switch {
	case open != nil:
		out = beginning(open.Values, last, "")
	case hasValue && strings.HasPrefix(name, "--"):
		if f := waiting(flags, name); f != nil {
			out = beginning(f.Values, begun, name+"=")
		}
	case strings.HasPrefix(last, "-"):
		names := make([]string, len(flags))
		for i, f := range flags {
			names[i] = "--" + f.Name
		}
		out = beginning(names, last, "")
	default:
		words := slices.Clone(n.Values)
		for _, c := range n.Children {
			words = append(words, c.Name)
		}
		out = beginning(words, last, "")
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// waiting is the flag that a word names, where its value comes in the next word.
func waiting(flags []Flag, word string) *Flag {
	for i := range flags {
		if "--"+flags[i].Name == word && flags[i].TakesValue {
			return &flags[i]
		}
	}
	return nil
}

// joined undoes what bash does: it takes --flag=value for three words.
func joined(words []string) []string {
	out := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "=" })
	if len(words) == 0 || words[len(words)-1] == "=" {
		out = append(out, "")
	}
	return out
}

// beginning are the words that begin so. The last of a list is what counts: --roles broker,ed.
func beginning(words []string, begin, before string) []string {
	list := ""
	if i := strings.LastIndexByte(begin, ','); i >= 0 {
		list, begin = begin[:i+1], begin[i+1:]
	}
	var out []string
	for _, w := range words {
		if strings.HasPrefix(w, begin) {
			out = append(out, before+list+w)
		}
	}
	return out
}
