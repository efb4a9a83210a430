// The peer must say what the contract says: else the comparison measures two different services.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

func call(t *testing.T, handler http.Handler, method, target, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	request := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	answer := recorder.Result()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(text)
}

const user7 = `{"id":7,"name":"User Number 7","email":"user7@example.com","active":false,"score":8.75,` +
	`"roles":["reader","writer","team-7"],"address":{"street":"7 High Street","city":"Springfield",` +
	`"country":"Freedonia","zip":"00007"},"tags":["alpha","beta","tag-7"]}`

func TestUserHasTheContractsShapeInBothStyles(t *testing.T) {
	handler := newHandler(newStore(10))
	for _, style := range []string{"pooled", "naive"} {
		status, header, body := call(t, handler, "GET", "/"+style+"/users/7", "")
		if status != 200 || strings.TrimSuffix(body, "\n") != user7 {
			t.Errorf("%s: %d %s", style, status, body)
		}
		if header.Get("Content-Type") != "application/json" || header.Get("X-Request-Id") == "" {
			t.Errorf("%s: headers %v", style, header)
		}
	}
	_, header, body := call(t, handler, "GET", "/pooled/users/7", "")
	if header.Get("Content-Length") != fmt.Sprint(len(body)) {
		t.Errorf("Content-Length %s for %d bytes", header.Get("Content-Length"), len(body))
	}
}

func TestErrorsAreTheContracts(t *testing.T) {
	handler := newHandler(newStore(10))
	for _, c := range []struct {
		method, target, body string
		status               int
		code                 string
	}{
		{"GET", "/pooled/users/10", "", 404, "not_found"},
		{"GET", "/naive/users/x", "", 400, "bad_request"},
		{"GET", "/nowhere", "", 404, "not_found"},
		{"DELETE", "/pooled/users/7", "", 405, "method_not_allowed"},
		{"GET", "/naive/events", "", 405, "method_not_allowed"},
		{"POST", "/healthz", "", 405, "method_not_allowed"},
		{"POST", "/pooled/events", `[{"id":1}]`, 400, "bad_request"},
		{"POST", "/pooled/events", `[] x`, 400, "bad_request"},
		{"POST", "/naive/events", `[] x`, 400, "bad_request"},
		{"POST", "/naive/events", `{`, 400, "bad_request"},
		{"POST", "/pooled/events", "[" + strings.Repeat(" ", maxBodyBytes) + "]", 413, "payload_too_large"},
		{"POST", "/pooled/events", "[" + strings.Repeat("{},", maxEvents) + "{}]", 413, "payload_too_large"},
	} {
		status, header, body := call(t, handler, c.method, c.target, c.body)
		var answer struct{ Error, Message string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Errorf("%s %s: %v in %q", c.method, c.target, err, body)
		}
		if status != c.status || answer.Error != c.code || answer.Message == "" || header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s: %d %s %v", c.method, c.target, status, body, header)
		}
	}
	if status, _, _ := call(t, handler, "POST", "/pooled/events", "[]", "Content-Type", "text/plain"); status != 415 {
		t.Errorf("text/plain: %d", status)
	}
}

func TestRequestIDIsEchoedIfSane(t *testing.T) {
	handler := newHandler(newStore(1))
	for given, echoed := range map[string]bool{"abc-1.2_3": true, "a b": false, strings.Repeat("x", 129): false} {
		_, header, _ := call(t, handler, "GET", "/healthz", "", "X-Request-ID", given)
		if got := header.Get("X-Request-Id"); (got == given) != echoed || got == "" {
			t.Errorf("%q: got %q", given, got)
		}
	}
}

func eventsBody(first, count int) (body string, keys []string) {
	var text bytes.Buffer
	text.WriteByte('[')
	for i := first; i < first+count; i++ {
		if i > first {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `{"id":"ev-%d","type":"click","user_id":%d,"ts":1700000000,"tags":["a"],"payload":{"k":"v"}}`, i, i*3)
		keys = append(keys, fmt.Sprintf("click:ev-%d:%d", i, i*3))
	}
	text.WriteByte(']')
	return text.String(), keys
}

func TestEventsAnswerTheirKeysUnderConcurrency(t *testing.T) {
	handler := newHandler(newStore(1))
	var group sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for round := 0; round < 50; round++ {
				body, keys := eventsBody(worker*1000+round, 1+(worker*7+round)%40)
				for _, style := range []string{"pooled", "naive"} {
					status, _, text := call(t, handler, "POST", "/"+style+"/events", body)
					var answer accepted
					if err := json.Unmarshal([]byte(text), &answer); err != nil || status != 200 {
						t.Errorf("%s: %d %v", style, status, err)
						return
					}
					if answer.Accepted != len(keys) || strings.Join(answer.Keys, ",") != strings.Join(keys, ",") {
						t.Errorf("%s: %v", style, answer)
						return
					}
				}
			}
		}()
	}
	group.Wait()
}

// A pooled batch that held full events must not lend their members to events that leave them out.
func TestPooledBatchForgets(t *testing.T) {
	handler := newHandler(newStore(1))
	full, _ := eventsBody(0, 20)
	for range 100 {
		call(t, handler, "POST", "/pooled/events", full)
		_, _, text := call(t, handler, "POST", "/pooled/events", `[{"type":"t"},{}]`)
		if text != `{"accepted":2,"keys":["t::0","::0"]}` {
			t.Fatal(text)
		}
	}
}

func TestAccessLogWritesALineForEachRequest(t *testing.T) {
	var out bytes.Buffer
	sink := newLogSink(&out)
	handler := withAccessLog(newHandler(newStore(1)), sink, true)
	call(t, handler, "GET", "/pooled/users/0", "", "X-Request-ID", "one")
	call(t, handler, "GET", "/pooled/users/5", "", "X-Request-ID", "two")
	sink.close()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "GET /pooled/users/0 200 ") ||
		!strings.HasSuffix(lines[0], "us one") || !strings.Contains(lines[1], " 404 ") {
		t.Errorf("%q", lines)
	}
}

func TestAccessLogOfErrorsLeavesTheRestOut(t *testing.T) {
	var out bytes.Buffer
	sink := newLogSink(&out)
	failing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusInternalServerError, "internal", "no more")
	})
	call(t, withAccessLog(newHandler(newStore(1)), sink, false), "GET", "/pooled/users/5", "")
	call(t, withAccessLog(failing, sink, false), "GET", "/pooled/users/6", "")
	sink.close()
	if text := out.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "GET /pooled/users/6 500 ") {
		t.Errorf("%q", text)
	}
}
