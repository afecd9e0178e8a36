# A search with a latency budget on two workers of one machine: the table is measured once, alone, and recorded; killed in the
# middle it ends with the candidates that it would have had; finalists are timed alone, and what people read has the figures.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

model
spec 2000 500 16 >"$tmp/spec.yaml"
cat >"$tmp/set" <<'SET'
--set budgets.flops=[1] --set budgets.latency=[0.7] --set cut.round_to=auto --set latency.batch=8
SET
up --workers 2
id=$(start "$tmp/spec.yaml" $(cat "$tmp/set"))
measured() { [ -n "$(sql "select 1 from espalier.attempts where search = $id and kind::text = '$1' and outcome::text = 'done'")" ]; }

await 60 has_evaluated "$id" 3 || fail "search $id stands still at $(evaluated "$id"): $(e search status "$id")"
measured measure || fail "there are results without a table"
victim=$(pid espalierd)
kill -9 "$victim"
await 5 gone "$victim" || fail "process $victim outlives kill -9"
up --workers 2
finish "$id" 120
equal "tables" 1 "$(sql "select count(*) from espalier.latency_tables where search = $id")"
equal "attempts at the table" 1 "$(sql "select count(*) from espalier.attempts where search = $id and kind::text = 'measure'")"
equal "candidates above their budget" 0 "$(sql "select count(*) from espalier.candidates c join espalier.searches s on s.id = search
    where search = $id and kind::text = 'latency' and latency > 0.7 * dense_latency")"

say "nobody else worked on the machine while something was measured"
equal "attempts beside a measurement" 0 "$(sql "select count(*) from espalier.attempts q join espalier.attempts o
    on (q.kind, q.episode, q.attempt) <> (o.kind, o.episode, o.attempt) and o.search = q.search
       and o.started < q.ended and q.started < o.ended
    where q.search = $id and q.kind::text in ('measure', 'time') and q.outcome::text = 'done' and o.outcome::text = 'done'")"

say "what people read"
finalists=$(sql "select count(*) from espalier.finals where search = $id and failed is null")
[ "$finalists" -ge 1 ] || fail "no finalist"
equal "finalists timed" "$finalists" "$(sql "select count(*) from espalier.finals join espalier.timings t using (search, episode)
    where search = $id and t.ratio > 0 and t.batch = 8 and t.batch_ms > 0 and t.cpu <> '' and t.precision = 'fp32'")"
e pareto "$id" --x latency --format csv | awk -F, 'NR > 1 { if ($11 == "" || $11 + 0 > 1 || (NR > 2 && $10 + 0 <= last)) exit 1; last = $10 + 0; n++ }
    END { exit n < 1 }' || { e pareto "$id" --x latency --format csv; fail "the front against latency isn't one"; }
equal "final rows with a measured ratio" "$finalists" "$(e candidates "$id" --format csv | awk -F, '$12 == "final" && $11 > 0' | wc -l)"
e search status "$id" | grep -q '^latency   dense .* predictions off by ' || fail "status says nothing of the table: $(e search status "$id")"
e search status "$id" | grep -q '^rounding  ' || fail "status says nothing of the rounding"
episode=$(sql "select min(episode) from espalier.finals where search = $id")
e show "$id" "$episode" | grep -q '^measured .* batch 1' || fail "show says nothing of the time: $(e show "$id" "$episode")"

say "the same spec again: the former table, the same candidates"
again=$(start "$tmp/spec.yaml" $(cat "$tmp/set"))
finish "$again" 120
equal "the second search's table is the first's" "$id" "$(sql "select inherited from espalier.latency_tables where search = $again")"
equal "digest" "$(e digest "$id")" "$(e digest "$again")"
