/**
 * Shapes of what the service sends, and of what the page makes of it. Types only: there is nothing here to run.
 *
 * @typedef {number[][]} Matrix4Rows A 4x4 matrix, row by row.
 *
 * @typedef {object} CameraCalibration
 * @property {string} model
 * @property {number[][]} K
 * @property {number[]} distortion
 * @property {Matrix4Rows} T_camera_world Takes world points to the camera's axes: x right, y down, z forward. Metres.
 *
 * @typedef {object} CameraInfo
 * @property {string} id
 * @property {string} state
 * @property {string} [message]
 * @property {number} width
 * @property {number} height
 * @property {number} [fps]
 * @property {number} [frames]
 * @property {Record<string, number>} [drops] Dropped frames by cause.
 * @property {string[]} [warnings]
 * @property {CameraCalibration | null} [calibration]
 *
 * @typedef {object} Skeleton
 * @property {string[]} joint_names
 * @property {number[]} parents Parent of each joint; -1 is the root.
 * @property {{hand_model: string, vertex_count: number, faces: Record<string, number[][]>} | null} [mesh]
 *
 * @typedef {object} Hand
 * @property {number} id
 * @property {string} side `left` or `right`.
 * @property {number} confidence
 * @property {Float32Array} joints World positions, metres, 3 a joint.
 * @property {Float32Array | null} vertices World positions, metres, 3 a vertex.
 * @property {Float32Array | null} covariance xx xy xz yy yz zz a joint, mm squared.
 * @property {Float32Array | null} orientations Quaternions x y z w, 4 a joint.
 * @property {Map<string, number>} reprojectionPx Error in each view.
 *
 * @typedef {object} HandsMessage
 * @property {number} seq
 * @property {boolean} ended Whether the footage is over: there are no hands, and no message will follow.
 * @property {number} predictedMs The hands are those of so long after the exposure.
 * @property {number | null} skewMs
 * @property {string[]} views Cameras whose pictures were used.
 * @property {Record<string, number | bigint>} stampsNs exposure, received, solved, sent: the service's monotonic clock.
 * @property {string | null} calibrationId
 * @property {string | null} modelId
 * @property {Hand[]} hands
 *
 * @typedef {object} ConnectionState
 * @property {"connecting" | "open" | "waiting"} phase
 * @property {number} [retryInS] Whole seconds to the next try, while waiting.
 * @property {string} [reason] Why there is no connection, in plain words.
 * @property {boolean} [needsToken] Whether the service asks for a token that it was not shown.
 */

export {};
