package app

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// precedence is said wherever settings are listed.
const precedence = "A flag wins over a variable, a variable over the file, the file over the default."

// textWidth is where comments are broken.
const textWidth = 110

// WriteDefaultFile writes a settings file in which every setting stands as a comment with its default. It changes nothing
// until a line is uncommented, so that a default that a later version has holds for whoever never chose another.
func WriteDefaultFile(w io.Writer) error {
	all, err := Settings()
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(comment("Settings of gateway. "+precedence) + comment("The values are the defaults; those in <> are what a value would be. "+
		"gateway config check --config FILE says what is wrong with a file, gateway config docs what each setting is."))
	group := ""
	for _, s := range all {
		if !s.File {
			continue
		}
		if s.Group != group {
			group = s.Group
			b.WriteString("\n# ---- " + group + " ----\n")
		}
		b.WriteString("\n" + comment(s.Help) + comment(strings.Join(s.notes(), ". ")))
		b.WriteString("#" + s.Name + ": " + s.example() + "\n")
	}
	b.WriteString("\n# ---- Formats of your own ----\n\n" + comment("Topics and payloads that no preset knows: deploy/docs/formats.md."))
	b.WriteString("#" + mappingsKey + ": []\n")
	_, err = io.WriteString(w, b.String())
	return err
}

// notes are what is to be known of a setting besides its help.
func (s *Setting) notes() []string {
	notes := []string{"--" + s.Name + ", " + s.Variable}
	if len(s.Enum) > 0 && !strings.Contains(s.Help, strings.Join(s.Enum, ",")) {
		notes = append(notes, "One of "+strings.Join(s.Enum, ", "))
	}
	if s.Secret {
		notes = append(notes, "file:PATH reads it from a file")
	}
	if s.Reload {
		notes = append(notes, "A reload changes it")
	}
	return notes
}

// example is the default, or what a value would look like.
func (s *Setting) example() string {
	switch {
	case s.Default != "" && s.List:
		return yamlList(strings.Split(s.Default, ","))
	case s.Default != "":
		return yamlText(s.Default)
	case s.Bool:
		return "false"
	case s.List:
		return "[" + yamlText("<"+s.placeholder()+">") + "]"
	}
	return yamlText("<" + s.placeholder() + ">")
}

func (s *Setting) placeholder() string {
	if s.Placeholder == "" {
		return strings.ToUpper(s.Name)
	}
	return s.Placeholder
}

// comment breaks a text into lines that begin with #.
func comment(text string) string {
	var b strings.Builder
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > textWidth {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}

// yamlText is a value as the file may have it: quoted where it would be something else otherwise.
func yamlText(text string) string {
	quoted, err := yaml.Marshal(text)
	if err != nil {
		return `""` // texts can be marshalled
	}
	out := strings.TrimSuffix(string(quoted), "\n")
	if plain, wasQuoted := strings.CutPrefix(out, `"`); wasQuoted && plain == text+`"` && isNumberOrBool(text) {
		return text // every value is read as a text
	}
	return out
}

func isNumberOrBool(text string) bool {
	return text == "true" || text == "false" || strings.Trim(text, "0123456789.") == "" && text != ""
}

func yamlList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = yamlText(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// WriteShown writes what applies as a settings file, each line with where it comes from. Secrets are not in it.
func (l *Loaded) WriteShown(w io.Writer) error {
	var b strings.Builder
	for _, a := range l.Applied {
		from := a.From
		if from == "" {
			from = "default"
		}
		if a.SecretFile != "" {
			from += ", read from " + a.SecretFile
		}
		value := `""`
		switch {
		case a.List:
			value = yamlList(a.Values)
		case len(a.Values) == 1:
			value = yamlText(a.Values[0])
		}
		line := a.Name + ": " + value
		if !a.File || !a.List && a.Values[0] == "" {
			line = "#" + line // no file may say it, or nothing is said
		}
		fmt.Fprintf(&b, "%-48s # %s\n", line, from)
	}
	if n := len(l.Options.Dialects.Mappings); n > 0 {
		fmt.Fprintf(&b, "# and %d mappings of the settings file\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteDocs writes the list of settings in Markdown.
func WriteDocs(w io.Writer) error {
	all, err := Settings()
	if err != nil {
		return err
	}
	var b strings.Builder
	group := ""
	for _, s := range all {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&b, "\n## %s\n\n| flag, key | variable | default | reload | |\n|---|---|---|---|---|\n", group)
		}
		flag, reload := "`--"+s.Name+"`", ""
		if s.Reload {
			reload = "yes"
		}
		help := s.Help
		if s.Secret {
			help += " `file:PATH` reads it from a file."
		}
		if len(s.Enum) > 0 && !strings.Contains(help, strings.Join(s.Enum, ",")) {
			help += " One of " + strings.Join(s.Enum, ", ") + "."
		}
		def := s.Default
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", flag, s.Variable, def, reload, strings.ReplaceAll(strings.ReplaceAll(help, "|", `\|`), "\n", " "))
	}
	_, err = io.WriteString(w, b.String())
	return err
}
