# A search from the spec to the front: every candidate within its budget by its own ONNX file, the finalists' files score
# what is on record, and all the ways of reading what was found.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

model
spec 500 200 24 >"$tmp/spec.yaml"
up --workers 2
id=$(start "$tmp/spec.yaml")
equal "id" 1 "$id"
finish "$id" 60
say "search $id is done"

equal "evaluated" 24 "$(evaluated "$id")"
equal "finalists" 2 "$(sql "select count(*) from espalier.finals where search = $id")"
equal "snapshot of the learnt policy" t "$(sql "select bool_and(octet_length(bytes) > 0) from espalier.snapshots where search = $id")"
# A worker that sits on its results would show here: it has nothing else to do between work and report.
slow=$(sql "select round(avg(extract(epoch from ended - started) - r.seconds)::numeric, 2)
              from espalier.attempts a join espalier.results r on r.search = a.search and r.episode = a.candidate
             where a.search = $id and a.kind::text = 'evaluate' and a.outcome::text = 'done'")
[ "$(sql "select $slow < 1")" = t ] || fail "an evaluation takes $slow s more than its work"

say "every candidate, exported, costs what is on record and no more than its budget"
dense=$(sql "select dense_macs from espalier.searches where id = $id")
equal "dense MACs" "$dense" "$(espalier model "$tmp/demo.onnx" | sed -n 's/^MACs  *\([0-9]*\) .*/\1/p')"
episode=0
while [ $episode -lt 24 ]; do
    e export "$id" $episode -o "$tmp/$episode.onnx" 2>"$tmp/export.err" || { cat "$tmp/export.err"; fail "export of episode $episode"; }
    file=$(espalier model "$tmp/$episode.onnx" | sed -n 's/^\(MACs\|params\|bytes\)  *\([0-9]*\) .*/\2/p' | tr '\n' ' ')
    equal "MACs, params, bytes of episode $episode's file" \
        "$(sql "select macs || ' ' || params || ' ' || bytes || ' ' from espalier.candidates where search = $id and episode = $episode")" "$file"
    within=$(sql "select ${file%% *} <= b.frac * $dense from espalier.candidates c join espalier.budgets b using (search, budget)
                   where c.search = $id and c.episode = $episode")
    equal "episode $episode within its budget, ${file%% *} of $dense MACs" t "$within"
    episode=$((episode + 1))
done
equal "model in JSON" "$(sql "select macs from espalier.candidates where search = $id and episode = 3")" \
    "$(espalier model "$tmp/3.onnx" --format json | sed -n 's/.*"macs": \([0-9]*\), "params": [0-9]*, "bytes": [0-9]*}$/\1/p')"
equal "MACs of an architecture" 40551040 "$(espalier model resnet-20 | sed -n 's/^MACs  *\([0-9]*\) .*/\1/p')"
equal "and for other images" 30821248 "$(espalier model resnet-20@1x28x28 --format json | sed -n 's/.*"macs": \([0-9]*\), "params": [0-9]*, "bytes": [0-9]*}$/\1/p')"

say "the finalists' files score what is on record"
for episode in $(sql "select episode from espalier.finals where search = $id order by 1"); do
    score=$(espalier score "$tmp/$episode.onnx" --data synthetic --mean 127.5 --std 54 --format json)
    equal "score of episode $episode's file" \
        "$(sql "select format('{\"n\": %s, \"top1\": %s, \"top5\": %s', n, top1, top5) from espalier.finals where search = $id and episode = $episode")" \
        "${score%%, \"loss\"*}"
done

say "the front"
e pareto "$id" --format csv >"$tmp/front.csv"
equal "columns" "episode,budget,kept,top1,top5,macs,macs_ratio,params,bytes,latency_ms,latency_ratio,stage" "$(head -n 1 "$tmp/front.csv")"
awk -F, 'NR > 1 { if (NR > 2 && ($4 <= top1 || $6 <= macs)) exit 1; top1 = $4; macs = $6; n++ } END { exit n < 2 }' "$tmp/front.csv" ||
    { cat "$tmp/front.csv"; fail "the front is trivial, or not rising in both cost and accuracy"; }
equal "budgets on the front" 2 "$(sed 1d "$tmp/front.csv" | cut -d, -f2 | sort -u | wc -l)"
episodes=$(sed 1d "$tmp/front.csv" | cut -d, -f1 | tr '\n' ' ')
equal "the front in psql" "$episodes" "$(sql "select string_agg(episode::text, ' ' order by macs) || ' ' from espalier.pareto($id)")"
equal "the front in JSON" "$episodes" "$(e pareto "$id" --format json | sed -n 's/.*{"episode": \([0-9]*\), .*"stage": "proxy", "within": [a-z]*}.*/\1/p' | tr '\n' ' ')"
equal "the front as a table" "$episodes" "$(e pareto "$id" | awk 'NR > 1 { printf "%s ", $1 }')"
equal "rows on top1<0" 1 "$(e pareto "$id" --where 'top1<0' --format csv | wc -l)"
for x in flops params bytes; do
    e pareto "$id" --x $x --format svg >"$tmp/front.svg"
    equal "the front against $x as a picture" "$(e pareto "$id" --x $x --format csv | sed 1d | cut -d, -f1 | sort -n | tr '\n' ' ')" \
        "$(sed -n 's/.*<circle .*<title>episode \([0-9]*\),.*/\1/p' "$tmp/front.svg" | sort -n | tr '\n' ' ')"
    equal "finalists in it" "$(sql "select string_agg(episode::text, ' ' order by episode) || ' ' from espalier.finals where search = $id")" \
        "$(sed -n 's/.*<title>finalist, episode \([0-9]*\),.*/\1/p' "$tmp/front.svg" | sort -n | tr '\n' ' ')"
done
equal "nothing to draw" "espalier: nothing to draw: no candidate on search $id's front fulfils --where" \
    "$(e pareto "$id" --where 'top1<0' --format svg 2>&1)"
[ "$(e pareto "$id" --x params --format csv | wc -l)" -ge 2 ] || fail "no front against parameters"
# Nothing that was scored beats a point of the front in both.
equal "candidates that beat the front" 0 "$(sql "select count(*) from espalier.pareto($id) p, espalier.scores s
    where s.search = $id and s.stage = 'proxy' and s.top1 >= p.top1 and s.macs <= p.macs and (s.top1 > p.top1 or s.macs < p.macs)")"

say "other views"
equal "candidates" 26 "$(e candidates "$id" --format csv | sed 1d | wc -l)"
equal "final scores" 2 "$(e candidates "$id" --format csv | grep -c ',final$')"
e show "$id" 0 | grep -q "^search $id, episode 0: done, within flops 0.4" || fail "show: $(e show "$id" 0 | head -n 1)"
e show "$id" 0 --format json | grep -q '"attempts": \[{' || fail "show --format json has no attempts"
e digest "$id" | grep -Eq '^[0-9a-f]{64} 24$' || fail "digest: $(e digest "$id")"
e search list | grep -Eq "^ *$id +small +done +24 " || fail "search list: $(e search list)"
e search status "$id" | grep -q '24 of 24' || fail "search status: $(e search status "$id")"
equal "workers" 2 "$(e workers --format json | tr '{' '\n' | grep -c '"state":')"
equal "watch of a search that is over" "search $id done" "$(e search watch "$id" | tail -n 1 | cut -d ' ' -f 1-3)"

say "the same spec a second time has the same digest, from what workers have kept"
second=$(start "$tmp/spec.yaml")
finish "$second" 60
equal "digest" "$(e digest "$id")" "$(e digest "$second")"
sed 's/^seed: 1/seed: 2/' "$tmp/spec.yaml" >"$tmp/other.yaml"
third=$(start "$tmp/other.yaml" --set search.episodes=12)
finish "$third" 60
[ "$(e digest "$id")" != "$(e digest "$third")" ] || fail "another seed has the same digest"
