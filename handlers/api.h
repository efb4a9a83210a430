// The routes of the example service, in their styles over one store.
#pragma once

#include "server/tailrace.h"

namespace tailrace::api {

using http::json;  // the answer, not the namespace of the encoder

class Store;

// 10 000 events need more room than a request usually has.
inline constexpr std::size_t kMaxEventsBytes = std::size_t{16} << 20;

// For routes whose requests have no arena.
inline constexpr http::RouteOptions kCollectedHeap{.arena = false};

// /api, the recommended style: what a handler makes lies in its request's arena, what is encoded goes into a
// pooled buffer in one pass, keys are built in one allocation, vectors are sized before they are filled, and
// what the store keeps is published.
void add_users(App& app, Store& store);
void add_events(App& app);

// /pooled: the same work on the collected heap by teams that know what allocation costs: what is made for each
// request is taken from a pool instead, with the room that it had the last time.
void add_pooled_users(App& app, Store& store);
void add_pooled_events(App& app);

// /naive: the code that a hurried team writes, on the collected heap: see naive_json.h.
void add_naive_users(App& app, Store& store);
void add_naive_events(App& app);

// In all styles: POST P/echo, and GET P/churn?bytes=&object=&live=, which allocates the same objects in each.
void add_echo(App& app);
void add_churn(App& app);

}  // namespace tailrace::api
