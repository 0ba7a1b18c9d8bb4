// Two clients of the real leapjs, at once. Prints one line of JSON about what they saw.
//
//     node leapjs_client.js PORT FRAMES

const Leap = require("leapjs");

const port = Number(process.argv[2]);
const wanted = Number(process.argv[3]);
const clients = ["first", "second"].map((name) => {
  const client = { name, events: [], frames: [], afterBlur: 0 };
  client.controller = new Leap.Controller({ host: "127.0.0.1", port });
  for (const event of ["connect", "ready", "focus", "deviceAttached", "deviceStreaming", "streamingStarted"]) {
    client.controller.on(event, () => client.events.push(event));
  }
  client.controller.on("frame", (frame) => {
    if (client.blurred) client.afterBlur += 1;
    else client.frames.push(frame);
    if (clients.every((each) => each.frames.length >= wanted)) look();
  });
  return client;
});

/** The second client looks away; the first one must go on, alone. */
let looked = false;
function look() {
  if (looked) return;
  looked = true;
  const [first, second] = clients;
  second.controller.connection.reportFocus(false);
  // What is under way arrives still.
  setTimeout(() => {
    first.count = first.frames.length;
    second.blurred = true;
    setTimeout(report, 400);
  }, 200);
}

function bone(each) {
  return { type: each.type, length: each.length, direction: each.direction(), left: each.left() };
}

function finger(each) {
  return {
    id: each.id,
    type: each.type,
    extended: each.extended,
    bones: each.bones.map(bone),
    positions: each.positions,
    length: each.length,
    width: each.width,
    valid: each.valid,
  };
}

function hand(each) {
  return {
    id: each.id,
    type: each.type,
    fingers: each.fingers.map(finger),
    named: [each.thumb, each.indexFinger, each.middleFinger, each.ringFinger, each.pinky].map((one) => one.type),
    palmPosition: each.palmPosition,
    palmNormal: each.palmNormal,
    direction: each.direction,
    grabStrength: each.grabStrength,
    pinchStrength: each.pinchStrength,
    confidence: each.confidence,
    timeVisible: each.timeVisible,
    arm: bone(each.arm),
    roll: each.roll(),
  };
}

function report() {
  const said = clients.map((client) => {
    const last = client.frames[client.frames.length - 1];
    const before = client.frames[0];
    return {
      name: client.name,
      events: client.events,
      version: client.controller.connection.protocol.version,
      ids: client.frames.map((frame) => frame.id),
      timestamps: client.frames.map((frame) => frame.timestamp),
      rate: last.currentFrameRate,
      hands: last.hands.map(hand),
      normalized: last.hands.map((each) => Array.from(last.interactionBox.normalizePoint(each.palmPosition))),
      turned: last.hands.map((each) => each.rotationAngle(before)),
      afterBlur: client.name === "first" ? client.frames.length - client.count : client.afterBlur,
    };
  });
  process.stdout.write("\n" + JSON.stringify(said) + "\n");
  process.exit(0);
}

setTimeout(() => {
  process.stderr.write("no frames in time: " + clients.map((each) => each.frames.length).join(", ") + "\n");
  process.exit(1);
}, 20000);
clients.forEach((client) => client.controller.connect());
