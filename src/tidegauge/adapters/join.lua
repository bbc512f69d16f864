-- The join of predictions and labels in one shard: the table of tidegauge/join/table.py, as a script.
--
-- KEYS  1 the shard's filling, 2 applied offsets, 3 counters, 4 outbox, 5 contexts
-- ARGV  1 the window's name (checked before this), 2 watermark_ms, 3 horizon_ms, 4 lateness_ms,
--       5 corrections kept, 6 most items of partial labels, 7 prefix of the bucket keys,
--       8 digits of a bucket's number, 9 the first and last offsets of the batch, 10 the events,
--       11 first bucket to sweep, 12 last bucket to sweep, 13... the contexts of the events, or their codes
-- Returns one byte for each event (verdict, and flags as below), then the rows of those that have any.
--
-- An entry is one value in a bucket's hash; all integers are big endian:
--   entry       flags(1) [prediction] [newest] [label...]
--   flags       1 prediction, 2 it completed revision 0, 4 newest, 8 labels, 16 * further fields
--   prediction  [length(3), with labels] position payload
--   newest      position; where it is not the last label's
--   label       length(3) position payload [length(2) prediction_id, without a prediction]
--   position    at_ms(6) partition(2) offset(6)
-- The payload of a partial label is 0xC1 and, of each item, length(4) text gain(8); that of a revision is the one
-- that came, which is told with those before it.
-- The payload of a prediction ends with its context and two zeros, or with the context's code(2), under which
-- the shard keeps it.
-- A listpack, the small encoding of a hash, takes values of at most 64 bytes, so a longer entry
-- lies in up to four fields: field, field..1, field..2, field..3.
--
-- It can run twice: what is at or below an applied offset only has its rows told again.

local PREDICTION, BY_PREDICTION, NEWEST, LABELS, FIELDS = 1, 2, 4, 8, 16
local FIELD_BYTES, MOST_FIELDS = 64, 4
local WAITING, MATCHED, DUPLICATE, CORRECTED = 0, 1, 2, 3
local SUPERSEDED, LATE, REJECTED, REPLAY = 4, 5, 6, 7
local OWN_EVENT, EMIT_PREDICTION, IS_REPLAY, HAS_ROWS = 8, 16, 32, 64
local EXPIRED, ORPHAN, RECEIVED = 7, 8, 9  -- counters that are no verdict of an event
local COUNTERS = {
  [0] = 'waiting', 'matched', 'duplicate', 'corrected', 'superseded', 'late', 'rejected', 'expired', 'orphan', 'received',
}
local SIDES = {[0] = 'predictions.', 'labels.'}
local PREDICTION_SIDE, LABEL_SIDE = 0, 1
local OTHER = {[PREDICTION_SIDE] = LABEL_SIDE, [LABEL_SIDE] = PREDICTION_SIDE}
local REJECTED_EVENT = 2  -- flag of an event's side
local POSITION_BYTES, NAME_BYTES = 14, 8
local AT_ONCE = 1000  -- values on the stack of Lua
local FIRST = {[PREDICTION_SIDE] = WAITING + EMIT_PREDICTION, [LABEL_SIDE] = WAITING}
local MOST_CODES, NO_CODE = 4096, '\0\0'
local PARTIAL = 0xC1

local horizon = tonumber(ARGV[3])
local due_before = tonumber(ARGV[2]) - horizon - tonumber(ARGV[4])
local corrections, most_items, prefix = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local pack, read_struct, byte, char, sub = struct.pack, struct.unpack, string.byte, string.char, string.sub
local call, floor = redis.call, math.floor

local CODES = {}
for code = 0, 127 do
  CODES[code] = char(code)
end

local orphans, rows = {}, {}
local counts = {[PREDICTION_SIDE] = {}, [LABEL_SIDE] = {}}
for name in pairs(COUNTERS) do
  counts[PREDICTION_SIDE][name], counts[LABEL_SIDE][name] = 0, 0
end

local function count(side, verdict)
  local counted = counts[side]
  counted[RECEIVED] = counted[RECEIVED] + 1
  counted[verdict] = counted[verdict] + 1
end

local function move_waiting(side, after)
  local counted = counts[side]
  counted[WAITING] = counted[WAITING] - 1
  counted[after] = counted[after] + 1
end

-- An event is {at_ms, position, payload, prediction_id}, an entry {prediction, labels, newest, by_prediction}.

local function has(flags, flag)
  return flags % (2 * flag) >= flag
end

local function event_at(value, at, payload_bytes)
  local last = at + POSITION_BYTES + payload_bytes
  local position = sub(value, at, at + POSITION_BYTES - 1)
  return {read_struct('>I6', position), position, sub(value, at + POSITION_BYTES, last - 1)}, last
end

local function event_of(at_ms, body, id)
  return {at_ms, sub(body, 1, POSITION_BYTES), sub(body, POSITION_BYTES + 1), id}
end

local function decode(value)
  if not value then return {labels = {}} end
  local flags, at, size = byte(value, 1), 2, #value
  local entry, labels = {labels = {}, by_prediction = has(flags, BY_PREDICTION)}, {}
  if not has(flags, LABELS) then
    entry.prediction = event_at(value, at, size - POSITION_BYTES - 1)
    return entry
  end
  local payload_bytes
  if has(flags, PREDICTION) then
    payload_bytes, at = read_struct('>I3', value, at)
    entry.prediction, at = event_at(value, at, payload_bytes)
  end
  if has(flags, NEWEST) then
    entry.newest, at = event_at(value, at, 0)
  end
  while at <= size do
    local label
    payload_bytes, at = read_struct('>I3', value, at)
    label, at = event_at(value, at, payload_bytes)
    if not entry.prediction then
      label[4], at = read_struct('>I2c0', value, at)
    end
    labels[#labels + 1] = label
  end
  entry.labels = labels
  entry.newest = entry.newest or labels[#labels]
  return entry
end

local lengths = {}

local function length_of(payload_bytes)
  local length = lengths[payload_bytes]
  if not length then
    length = pack('>I3', payload_bytes)
    lengths[payload_bytes] = length
  end
  return length
end

local function encoded(event)
  return length_of(#event[3]) .. event[2] .. event[3]
end

local function encode(entry)
  local prediction, labels = entry.prediction, entry.labels
  local held = #labels
  if held == 0 then
    return prediction and char(PREDICTION) .. prediction[2] .. prediction[3]
  end
  local flags, parts = LABELS, {'', '', ''}
  if prediction then
    flags = flags + PREDICTION
    if entry.by_prediction then flags = flags + BY_PREDICTION end
    parts[2] = encoded(prediction)
    if entry.newest[2] ~= labels[held][2] then
      flags = flags + NEWEST
      parts[3] = entry.newest[2]
    end
  end
  parts[1] = char(flags)
  for index = 1, held do
    parts[#parts + 1] = encoded(labels[index])
    if not prediction then
      parts[#parts + 1] = pack('>I2c0', #labels[index][4], labels[index][4])
    end
  end
  return table.concat(parts)
end

local function further_fields(value)
  return floor(byte(value, 1) / FIELDS)
end

local function plain(value)
  return char(byte(value, 1) % FIELDS) .. sub(value, 2)
end

local function names_of(field, from, to)
  local names = {}
  for index = from, to do
    names[#names + 1] = field .. index
  end
  return names
end

-- Returns the entry's value, and how many fields it lies in.
local function read(bucket, field)
  local value = call('HGET', bucket, field)
  if not value then return nil, 0 end
  local further = further_fields(value)
  if further == 0 then return value, 1 end
  local rest
  if further == 1 then
    rest = call('HGET', bucket, field .. 1)
  else
    rest = table.concat(call('HMGET', bucket, unpack(names_of(field, 1, further))))
  end
  return plain(value .. rest), further + 1
end

local function write_in_parts(bucket, field, value, fields)
  local first = char(byte(value, 1) + FIELDS * (fields - 1)) .. sub(value, 2, FIELD_BYTES)
  if fields == 2 then
    call('HSET', bucket, field, first, field .. 1, sub(value, FIELD_BYTES + 1))
    return
  end
  local parts = {field, first}
  for index = 1, fields - 1 do
    parts[2 * index + 1] = field .. index
    parts[2 * index + 2] = sub(value, FIELD_BYTES * index + 1, FIELD_BYTES * (index + 1))
  end
  call('HSET', bucket, unpack(parts))
end

local function write(bucket, field, value, stored_fields)
  local fields = 0
  if value then
    fields = math.ceil(#value / FIELD_BYTES)
    if fields == 1 or fields > MOST_FIELDS then
      fields = 1
      call('HSET', bucket, field, value)
    else
      write_in_parts(bucket, field, value, fields)
    end
  elseif stored_fields > 0 then
    call('HDEL', bucket, field)
    fields = 1
  end
  if stored_fields > fields then
    call('HDEL', bucket, unpack(names_of(field, fields, stored_fields - 1)))
  end
end

-- The rules

local function within(one, other)
  return math.abs(one[1] - other[1]) <= horizon
end

local function due(event)
  return event[1] < due_before
end

-- Numbers are compared, as the order of strings depends on the server's locale.
local function source_before(one, other)
  local partition, offset = read_struct('>I2I6', one[2], 7)
  local other_partition, other_offset = read_struct('>I2I6', other[2], 7)
  if partition ~= other_partition then return partition < other_partition end
  return offset < other_offset
end

local function older(one, other)
  if one[1] ~= other[1] then return one[1] < other[1] end
  return source_before(one, other)
end

local function same_source(one, other)
  return sub(one[2], 7) == sub(other[2], 7)
end

local function add_orphan(label)
  move_waiting(LABEL_SIDE, ORPHAN)
  orphans[#orphans + 1] = sub(label[2], 7)
  orphans[#orphans + 1] = sub(label[2], 1, 6) .. label[4]
end

-- Returns the value that is left of an entry (nil when nothing is).
local function expire(value)
  if has(byte(value, 1), PREDICTION) then
    local at = has(byte(value, 1), LABELS) and 5 or 2
    if read_struct('>I6', value, at) >= due_before then return value end
    if at == 2 then move_waiting(PREDICTION_SIDE, EXPIRED) end
    return nil
  end
  local entry, kept = decode(value), {}
  for _, label in ipairs(entry.labels) do
    if due(label) then add_orphan(label) else kept[#kept + 1] = label end
  end
  if #kept == #entry.labels then return value end
  entry.labels = kept
  return encode(entry)
end

-- Partial labels

local function is_partial(label)
  return byte(label[3], 1) == PARTIAL
end

-- Adds the gains of a partial label to those known of items. Returns how many items are new, and whether
-- anything is.
local function add_gains(gains, label)
  local payload, at, items, changed = label[3], 2, 0, false
  while at <= #payload do
    local item, gain
    item, gain, at = read_struct('>I4c0d', payload, at)
    local known = gains[item]
    if not known then items = items + 1 end
    if not known or known < gain then gains[item], changed = gain, true end
  end
  return items, changed
end

-- Returns how many items the partial labels and the event name, and whether it says anything new.
local function weigh(labels, event)
  local gains, items = {}, 0
  for _, label in ipairs(labels) do
    if is_partial(label) then items = items + add_gains(gains, label) end
  end
  local more, changed = add_gains(gains, event)
  return items + more, changed
end

local function together(labels, last)
  local parts = {char(PARTIAL)}
  for index = 1, last do
    parts[index + 1] = sub(labels[index][3], 2)
  end
  return table.concat(parts)
end

-- What a revision says: a partial label says all until then.
local function told(labels, index)
  local label = labels[index]
  if not is_partial(label) then return label end
  return {label[1], label[2], together(labels, index)}
end

local function no_earlier(event, other)
  if not other or event[1] >= other[1] then return event end
  return {other[1], sub(other[2], 1, 6) .. sub(event[2], 7), event[3], event[4]}
end

-- What stands one after the other where partial labels come in the order of their offsets.
local function stood(partial)
  local sorted, stages, gains = {}, {}, {}
  for index, label in ipairs(partial) do
    sorted[index] = label
  end
  table.sort(sorted, source_before)
  for index, label in ipairs(sorted) do
    local before = stages[#stages]
    local united = no_earlier({label[1], label[2], together(sorted, index)}, before)
    local _, changed = add_gains(gains, label)
    if before and not changed then stages[#stages] = nil end
    stages[#stages + 1] = united
  end
  return stages
end

local function says_nothing_new(labels, event)
  local last = labels[#labels]
  if not (is_partial(event) and is_partial(last)) then return last[3] == event[3] end
  local _, changed = weigh(labels, event)
  return not changed
end

local function full(labels, event)
  if #labels > corrections or #labels == 0 or not is_partial(event) then return #labels > corrections end
  return weigh(labels, event) > most_items
end

local function row(revision, sign, label)
  return pack('>I2i1', revision, sign) .. encoded(label)
end

local function add_rows(entry, revision)
  local text = encoded(entry.prediction)
  if revision > 0 then
    text = text .. row(revision - 1, -1, told(entry.labels, revision))
  end
  rows[#rows + 1] = text .. row(revision, 1, told(entry.labels, revision + 1))
  return HAS_ROWS
end

-- The one row of revision 0 where the event is one half of it: the other half, from its position on.
local function add_half(other)
  rows[#rows + 1] = other[2] .. other[3]
  return HAS_ROWS + OWN_EVENT
end

-- What stands, for those to whom another label was told: rows of one revision.
local function instead_of(other, entry)
  local revision = #entry.labels - 1
  return row(revision, -1, other) .. row(revision, 1, no_earlier(told(entry.labels, revision + 1), entry.newest))
end

local function insert_sorted(labels, event)
  local place = #labels + 1
  while place > 1 and older(event, labels[place - 1]) do
    place = place - 1
  end
  table.insert(labels, place, event)
end

-- The table. Each function returns the verdict, flags, and whether the entry changed.

-- The partial labels together, as the newest of them; the others are superseded by it.
local function match_partial(entry, partial)
  local last, others = partial[#partial], stood(partial)
  entry.labels, entry.newest = {{last[1], last[2], together(partial, #partial)}}, last
  others[#others] = nil
  move_waiting(LABEL_SIDE, MATCHED)
  return #partial - 1, others
end

-- The first of those in a row that say the newest value. Returns how many others said something else.
local function match_whole(entry, whole, partial)
  local last, first = whole[#whole], #whole
  while first > 1 and whole[first - 1][3] == last[3] do
    first = first - 1
  end
  entry.labels, entry.newest = {no_earlier(whole[first], partial[#partial])}, last
  local others, superseded = stood(partial), #partial
  for index, label in ipairs(whole) do
    if label[3] ~= last[3] then
      superseded = superseded + 1
      others[#others + 1] = label
    else
      move_waiting(LABEL_SIDE, index == first and MATCHED or DUPLICATE)
    end
  end
  return superseded, others
end

local function prediction_meets_labels(entry, event)
  local whole, partial = {}, {}
  for _, label in ipairs(entry.labels) do
    local kind = is_partial(label) and partial or whole
    if within(label, event) then kind[#kind + 1] = label else add_orphan(label) end
  end
  entry.prediction, entry.labels = event, {}
  if #whole + #partial == 0 then return WAITING, EMIT_PREDICTION, true end
  entry.by_prediction = true
  local match = #whole > 0 and match_whole or match_partial
  local superseded, others = match(entry, #whole > 0 and whole or partial, partial)
  for _ = 1, superseded do
    move_waiting(LABEL_SIDE, SUPERSEDED)
  end
  if #others == 0 then return MATCHED, EMIT_PREDICTION + add_half(entry.labels[1]), true end
  local flags, instead = EMIT_PREDICTION + add_rows(entry, 0), {}
  for index, label in ipairs(others) do
    instead[index] = instead_of(label, entry)
  end
  rows[#rows] = rows[#rows] .. table.concat(instead)
  return MATCHED, flags, true
end

local function label_meets_labels(entry, event)
  local labels = entry.labels
  for index, label in ipairs(labels) do
    if label[1] == event[1] and label[3] == event[3] then
      if older(event, label) then return DUPLICATE, 0, false end
      table.remove(labels, index)
      insert_sorted(labels, event)
      return DUPLICATE, 0, true
    end
  end
  if full(labels, event) then return REJECTED, 0, false end
  insert_sorted(labels, event)
  return WAITING, 0, true
end

local function label_meets_matched(entry, event)
  local labels, newest, partial = entry.labels, entry.newest, is_partial(event)
  local inside, revision = within(event, entry.prediction), #labels
  if (inside or not partial) and says_nothing_new(labels, event) then
    if not inside or older(event, newest) then return DUPLICATE, 0, false end
    entry.newest = event
    return DUPLICATE, 0, true
  end
  if not inside then return LATE, 0, false end
  if not is_partial(labels[revision]) and (partial or older(event, newest)) then
    rows[#rows + 1] = encoded(entry.prediction) .. instead_of(event, entry)
    return SUPERSEDED, HAS_ROWS, false
  end
  if full(labels, event) then return REJECTED, 0, false end
  labels[revision + 1] = no_earlier(no_earlier(event, labels[revision]), newest)
  entry.newest = partial and labels[revision + 1] or event
  return CORRECTED, add_rows(entry, revision), true
end

-- Returns verdict, flags and the entry's value afterwards.
local function settle(value, side, event)
  local entry = decode(value)
  local verdict, flags, changed = DUPLICATE, 0, false
  if side == LABEL_SIDE then
    local meet = entry.prediction and label_meets_matched or label_meets_labels
    verdict, flags, changed = meet(entry, event)
  elseif not entry.prediction then
    verdict, flags, changed = prediction_meets_labels(entry, event)
  end
  if changed then return verdict, flags, encode(entry) end
  return verdict, flags, value
end

local function tell_again(value, side, event)
  local entry = decode(value)
  local prediction, labels = entry.prediction, entry.labels
  if side == PREDICTION_SIDE then
    if not prediction or not same_source(prediction, event) then return REPLAY, 0 end
    if entry.by_prediction then return REPLAY, EMIT_PREDICTION + add_half(labels[1]) end
    return REPLAY, EMIT_PREDICTION
  end
  for index, label in ipairs(labels) do
    if same_source(label, event) then
      if not prediction or (index == 1 and entry.by_prediction) then return REPLAY, 0 end
      return REPLAY, add_rows(entry, index - 1)
    end
  end
  if prediction and not within(event, prediction) then return LATE, 0 end
  if full(labels, event) and not says_nothing_new(labels, event) then return REJECTED, 0 end
  return REPLAY, 0
end

-- The batch

local applied, replayed = {}, {[PREDICTION_SIDE] = {}, [LABEL_SIDE] = {}}  -- applied: name, offset, and so on

-- Returns whether the batch has events that had been applied before.
local function take_offsets(offsets)
  local at, any, names, ranges = 1, false, {}, {}
  while at <= #offsets do
    local side, partition, first, last
    side, partition, first, last, at = read_struct('>BI2I8I8', offsets, at)
    names[#names + 1] = SIDES[side] .. partition
    ranges[#ranges + 1] = {side, partition, first, last}
  end
  for before = 0, #names - 1, AT_ONCE do
    local found = call('HMGET', KEYS[2], unpack(names, before + 1, math.min(before + AT_ONCE, #names)))
    for index = 1, #found do
      local side, partition, first, last = unpack(ranges[before + index])
      local known = tonumber(found[index] or -1)
      if first <= known then
        replayed[side][partition], any = known, true
      end
      applied[#applied + 1] = names[before + index]
      applied[#applied + 1] = string.format('%.0f', math.max(last, known))
    end
  end
  return any
end

-- Returns whether the event at this position had been applied before the batch.
local function is_replay(side, position)
  local partition, offset = read_struct('>I2I6', position, 7)
  return offset <= (replayed[side][partition] or -1)
end

local function context_code(context)
  local code = call('HGET', KEYS[5], context)
  if code then return code end
  local known = call('HLEN', KEYS[5])
  if known >= MOST_CODES then return context .. NO_CODE end
  code = pack('>I2', known + 1)
  call('HSET', KEYS[5], context, code)
  return code
end

-- The end of a prediction's payload.
local endings = {[0] = NO_CODE}

local function ending(number)
  local text = endings[number]
  if not text then
    text = ARGV[12 + number]
    if #text ~= #NO_CODE then text = context_code(text) end
    endings[number] = text
  end
  return text
end

-- The value of an entry of one label.
local function alone(label, id)
  return char(LABELS) .. label .. pack('>I2c0', #id, id)
end

-- A label of which nothing is stored but a prediction that waits: nearly every one. Returns nil where the
-- entry must be taken apart.
local function take_label(bucket, field, value, fields, at_ms, label, id)
  if not value then
    write(bucket, field, alone(label, id), 0)
    return WAITING, 0
  end
  if byte(value, 1) ~= PREDICTION then return nil end
  local predicted_at = read_struct('>I6', value, 2)
  if predicted_at < due_before then return nil end
  if math.abs(predicted_at - at_ms) > horizon then return LATE, 0 end
  local prediction = sub(value, 2)
  move_waiting(PREDICTION_SIDE, MATCHED)
  rows[#rows + 1] = prediction
  local length = length_of(#prediction - POSITION_BYTES)
  write(bucket, field, char(PREDICTION + LABELS) .. length .. prediction .. label, fields)
  return MATCHED, HAS_ROWS + OWN_EVENT
end

-- A prediction of which nothing is stored, or one label that matches: nearly every other one.
local function take_prediction(bucket, field, value, fields, at_ms, body)
  if not value then
    write(bucket, field, char(PREDICTION) .. body, 0)
    return WAITING, EMIT_PREDICTION
  end
  if byte(value, 1) ~= LABELS then return nil end
  local payload_bytes, labelled_at = read_struct('>I3I6', value, 2)
  local label_end = 5 + POSITION_BYTES + payload_bytes
  if label_end + 2 + read_struct('>I2', value, label_end) <= #value then return nil end
  if labelled_at < due_before or math.abs(labelled_at - at_ms) > horizon then return nil end
  move_waiting(LABEL_SIDE, MATCHED)
  rows[#rows + 1] = sub(value, 5, label_end - 1)
  local length, label = length_of(#body - POSITION_BYTES), sub(value, 2, label_end - 1)
  write(bucket, field, char(PREDICTION + BY_PREDICTION + LABELS) .. length .. body .. label, fields)
  return MATCHED, EMIT_PREDICTION + HAS_ROWS + OWN_EVENT
end

local function take_apart(side, bucket, field, event, stored, fields)
  local value = stored and expire(stored)
  local verdict, flags, left = settle(value, side, event)
  if left ~= stored then write(bucket, field, left, fields) end
  return verdict, flags
end

local blob = ARGV[10]
local any_replayed = take_offsets(ARGV[9])

-- An event lies in the blob from `start` on: flags(1), position, payload; then its prediction_id.
local function take(side, bucket, field, start, payload_bytes, id, context)
  local at_ms = read_struct('>I6', blob, start + 1)
  local body = sub(blob, start + 1, start + POSITION_BYTES + payload_bytes)
  if side == PREDICTION_SIDE then
    body = body .. ending(context)
  end
  local value, fields = read(bucket, field)
  local verdict, flags
  if any_replayed and is_replay(side, body) then
    verdict, flags = tell_again(value, side, event_of(at_ms, body, id))
    return verdict + flags + IS_REPLAY
  end
  if side == LABEL_SIDE then
    verdict, flags = take_label(bucket, field, value, fields, at_ms, length_of(payload_bytes) .. body, id)
  else
    verdict, flags = take_prediction(bucket, field, value, fields, at_ms, body)
  end
  if not verdict then
    verdict, flags = take_apart(side, bucket, field, event_of(at_ms, body, id), value, fields)
  end
  count(side, verdict)
  return verdict + flags
end

-- An event of which nothing is stored: the usual one of the side that comes first. Returns nil for another.
local function take_first(side, bucket, field, start, payload_bytes, id, context)
  local last, value = start + POSITION_BYTES + payload_bytes
  if side == PREDICTION_SIDE then
    value = sub(blob, start, last) .. ending(context)
  else
    value = alone(length_of(payload_bytes) .. sub(blob, start + 1, last), id)
  end
  if #value > FIELD_BYTES or call('HSETNX', bucket, field, value) == 0 then return nil end
  count(side, WAITING)
  return FIRST[side]
end

local function reject(side, position)
  if any_replayed and is_replay(side, position) then return REJECTED + IS_REPLAY end
  count(side, REJECTED)
  return REJECTED
end

local at, size, codes, taken = 1, #blob, {}, 0
local first_side = not any_replayed and PREDICTION_SIDE  -- of which the last one seen found nothing stored
local head = '>Bc' .. ARGV[8] .. 'c8I4I2I4'
while at <= size do
  local side, bucket, field, context, id_bytes, payload_bytes, start = read_struct(head, blob, at)
  local id_start, code = start + 1 + POSITION_BYTES + payload_bytes, nil
  at = id_start + id_bytes
  if side >= REJECTED_EVENT then
    code = reject(side - REJECTED_EVENT, sub(blob, start + 1, start + POSITION_BYTES))
  else
    bucket = prefix .. bucket
    local id = sub(blob, id_start, at - 1)
    if side == first_side then
      code = take_first(side, bucket, field, start, payload_bytes, id, context)
      if not code then first_side = OTHER[side] end
    end
    code = code or take(side, bucket, field, start, payload_bytes, id, context)
    if code == FIRST[side] and not any_replayed then first_side = side end
  end
  taken = taken + 1
  codes[taken] = CODES[code]
end

local function sweep(bucket)
  local entries = call('HGETALL', bucket)
  for index = 1, #entries, 2 do
    local field, value, fields = entries[index], entries[index + 1], 1
    if #field == NAME_BYTES then
      if further_fields(value) > 0 then
        value, fields = read(bucket, field)
      end
      local left = expire(value)
      if left ~= value then write(bucket, field, left, fields) end
    end
  end
end

local name = '%0' .. ARGV[8] .. 'd'
for bucket = tonumber(ARGV[11]), tonumber(ARGV[12]) do
  sweep(prefix .. string.format(name, bucket))
end

for before = 0, #applied - 1, AT_ONCE do
  call('HSET', KEYS[2], unpack(applied, before + 1, math.min(before + AT_ONCE, #applied)))
end
for side, counted in pairs(counts) do
  for verdict, by in pairs(counted) do
    if by ~= 0 then call('HINCRBY', KEYS[3], SIDES[side] .. COUNTERS[verdict], by) end
  end
end
for index = 1, #orphans, 2 do
  call('HSET', KEYS[4], orphans[index], orphans[index + 1])
end

local reply = {table.concat(codes)}
for index, text in ipairs(rows) do
  reply[index + 1] = text
end
return reply
