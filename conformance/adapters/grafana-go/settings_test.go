package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
)

// Every shape that editors of all ages have saved loads, or is refused, as its file says.
func TestSavedSettings(t *testing.T) {
	files, err := filepath.Glob("../../../fixtures/grafana-settings/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	names := map[authType]string{authNone: "none", authBasic: "basic", authToken: "token", authOAuth: "oauth"}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var saved struct {
				JSONData    json.RawMessage   `json:"jsonData"`
				Secure      map[string]string `json:"secureJsonData"`
				Outcome     string            `json:"outcome"`
				Attribution *bool             `json:"attribution"`
			}
			if err := json.Unmarshal(text, &saved); err != nil {
				t.Fatal(err)
			}
			from := backend.DataSourceInstanceSettings{JSONData: saved.JSONData, DecryptedSecureJSONData: saved.Secure}
			read, err := readSettings(from)
			outcome := "refused"
			if err == nil {
				outcome = names[read.auth]
			}
			if outcome != saved.Outcome {
				t.Errorf("%s, expected %s (%v)", outcome, saved.Outcome, err)
			}
			if err == nil && read.attribution != (saved.Attribution == nil || *saved.Attribution) {
				t.Errorf("attribution is %v", read.attribution)
			}
		})
	}
}
