// What every answer shares: JSON bodies with Content-Length, the contract's errors, X-Request-ID.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

var jsonType = []string{"application/json"}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	header := w.Header()
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	w.Write(body)
}

func writeError(w http.ResponseWriter, status int, code, message string) {
	body, err := json.Marshal(struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}{code, message})
	if err != nil {
		http.Error(w, code, status)
		return
	}
	writeJSON(w, status, body)
}

// checkContentType answers 415 and returns false unless the body says that it is JSON.
func checkContentType(w http.ResponseWriter, r *http.Request) bool {
	value := r.Header.Get("Content-Type")
	if value == "application/json" {
		return true
	}
	if media, _, err := mime.ParseMediaType(value); err == nil && media == "application/json" {
		return true
	}
	writeError(w, http.StatusUnsupportedMediaType, "unsupported_media_type", "send application/json")
	return false
}

func writeBodyError(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		writeError(w, http.StatusRequestEntityTooLarge, "payload_too_large",
			"the body may have at most "+strconv.FormatInt(tooLarge.Limit, 10)+" bytes")
		return
	}
	writeError(w, http.StatusBadRequest, "bad_request", err.Error())
}

var errTrailing = errors.New("text after the JSON document")

// expectEnd refuses what follows a document that a Decoder has read.
func expectEnd(decoder *json.Decoder) error {
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

var (
	idPrefix  = strconv.FormatInt(time.Now().UnixNano(), 36) + "-"
	idCounter atomic.Uint64
)

// setRequestID echoes the client's id if it is sane, else makes one.
func setRequestID(w http.ResponseWriter, r *http.Request) {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && saneID(given[0]) {
		w.Header()["X-Request-Id"] = given
		return
	}
	var room [40]byte
	id := append(room[:0], idPrefix...)
	id = strconv.AppendUint(id, idCounter.Add(1), 36)
	w.Header()["X-Request-Id"] = []string{string(id)}
}

func saneID(id string) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
