"""The scripts of the join window but for `join.lua`, which stores the events."""

# KEYS 1 the filling of a shard, ARGV 1 a name for it, should it be new. Returns the window's name there:
# the process that holds it, and its filling. Another process may have lost writes, and so has a new filling.
NAME = """
local function name()
  local process = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  return (process or '') .. '.' .. (redis.call('GET', KEYS[1]) or '')
end
"""
RECOGNISE = (
    NAME
    + """
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return name()
"""
)
# The beginning of every other script: ARGV 1 is the name that the caller knows.
ONLY = (
    NAME
    + """
if name() ~= ARGV[1] then return redis.error_reply('WENTBACK another server, or it was emptied') end
"""
)
# KEYS 2 applied offsets.
APPLIED = (
    ONLY
    + """
return redis.call('HGETALL', KEYS[2])
"""
)
CONTEXTS = APPLIED  # KEYS 2 contexts
# KEYS 2 contexts, ARGV 2... some of them. Returns the code of each, nothing for one that has none.
CODES = (
    ONLY
    + """
local codes = {}
for index = 2, #ARGV do
  codes[index - 1] = redis.call('HGET', KEYS[2], ARGV[index])
end
return codes
"""
)
# KEYS 2 marks of the source partitions, 3 the watermark; ARGV 2... source, ms or "idle", and so on.
# The same as `join.advance`.
ADVANCE = (
    ONLY
    + """
for index = 2, #ARGV, 2 do
  local mark = redis.call('HGET', KEYS[2], ARGV[index])
  local before = mark and tonumber(string.match(mark, '%d+')) or 0
  if ARGV[index + 1] == 'idle' then
    mark = string.format('%.0f idle', before)
  else
    mark = string.format('%.0f', math.max(before, tonumber(ARGV[index + 1])))
  end
  redis.call('HSET', KEYS[2], ARGV[index], mark)
end
local marks, least, furthest = redis.call('HVALS', KEYS[2]), nil, 0
for _, mark in ipairs(marks) do
  local at = tonumber(string.match(mark, '%d+'))
  furthest = math.max(furthest, at)
  if not string.find(mark, 'idle') then least = math.min(least or at, at) end
end
local watermark = math.max(tonumber(redis.call('GET', KEYS[3]) or 0), least or furthest)
redis.call('SET', KEYS[3], string.format('%.0f', watermark))
return watermark
"""
)
