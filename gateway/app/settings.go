package app

import (
	"encoding"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// reloadTag marks settings that a reload changes in a running gateway.
const reloadTag = "reload"

// A Setting is one line of the list of settings, which is made of the flags' own definitions.
type Setting struct {
	Group       string
	Name        string // of the flag, without dashes, and the key in the file
	Variable    string
	Default     string // "" where there is none
	Help        string
	Placeholder string
	Enum        []string
	List, Bool  bool
	// Secret says that it may hold a password: it is shown without it, and file:PATH reads it from a file.
	Secret bool
	// Reload says that a reload changes it in a running gateway.
	Reload bool
	// File says that the settings file may have it.
	File bool
}

// Settings lists every setting, by group.
func Settings() ([]Setting, error) {
	k, err := newParser(&grammar{}, &settingsFile{}, io.Discard, func(int) {})
	if err != nil {
		return nil, err
	}
	var all []Setting
	var groups []string
	for _, f := range k.Model.Flags {
		s, ok := settingOf(f)
		if !ok {
			continue
		}
		if !slices.Contains(groups, s.Group) {
			groups = append(groups, s.Group)
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b Setting) int { return slices.Index(groups, a.Group) - slices.Index(groups, b.Group) })
	return all, nil
}

// settingOf reads a flag; false for those that are no settings, such as help.
func settingOf(f *kong.Flag) (Setting, bool) {
	if len(f.Envs) == 0 {
		return Setting{}, false
	}
	s := Setting{
		Name: f.Name, Variable: f.Envs[0], Default: f.Default, Help: f.Help, Placeholder: f.PlaceHolder, List: f.IsSlice(), Bool: f.IsBool(),
		Secret: f.Tag.Has(secretTag), Reload: f.Tag.Has(reloadTag), File: f.Name != "config",
	}
	if f.Enum != "" {
		s.Enum = slices.DeleteFunc(f.EnumSlice(), func(v string) bool { return v == "" })
	}
	if f.Group != nil {
		s.Group = f.Group.Key
	}
	return s, true
}

// Loaded are settings, with where each comes from.
type Loaded struct {
	Options Options
	Applied []Applied
}

// Applied is what a setting is in a process.
type Applied struct {
	Setting
	// Values is one text, or as many as the list has. A secret is not in it.
	Values []string
	// From is the flag, the variable, or the file and the line, and "" for the default.
	From string
	// SecretFile is the file that the value was read from, where it was.
	SecretFile string

	exact any // as the program has it, with its secrets
}

func appliedOf(ctx *kong.Context, file *settingsFile, secrets map[string]string) []Applied {
	var all []Applied
	for _, f := range ctx.Flags() {
		s, ok := settingOf(f)
		if !ok {
			continue
		}
		a := Applied{Setting: s, From: whence(ctx, file, f), SecretFile: secrets[f.Name], exact: f.Target.Interface()}
		for _, v := range texts(f.Target) {
			text := textOf(v)
			if s.Secret && text != "" {
				text = redact(text)
			}
			a.Values = append(a.Values, text)
		}
		all = append(all, a)
	}
	return all
}

// textOf is a value as a flag would have it.
func textOf(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case encoding.TextMarshaler:
		text, err := value.MarshalText()
		if err == nil {
			return string(text)
		}
	case fmt.Stringer:
		return value.String()
	}
	return strings.TrimSpace(fmt.Sprint(v.Interface()))
}
