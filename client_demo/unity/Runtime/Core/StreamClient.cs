using System;
using System.IO;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Threading;
using System.Threading.Tasks;

namespace UstHand
{
    /// <summary>How a client stands with its service.</summary>
    public enum StreamState
    {
        Stopped,
        Connecting,
        Streaming,
        Waiting,

        /// <summary>No further try is made; <see cref="StreamClient.Failure"/> says why.</summary>
        Failed,
    }

    /// <summary>
    /// A connection to a service that mends itself. It reads in the background; whoever draws takes the newest from
    /// <see cref="Buffer"/>. Events come from threads of the pool.
    /// </summary>
    public sealed class StreamClient : IDisposable
    {
        const int LargestMessage = 16 * 1024 * 1024;
        const int OpenTimeoutMs = 5000;

        /// <summary>A service that sends nothing, not even answers to pings, is lost.</summary>
        const int SilenceMs = 10000;

        const int FirstPings = 8;
        const int FirstPingsEveryMs = 50;
        const int PingsEveryMs = 2000;

        /// <summary>How long a goodbye may take, each way.</summary>
        const int GoodbyeMs = 500;

        readonly StreamOptions _options;
        readonly Backoff _backoff;
        readonly object _lock = new object();
        CancellationTokenSource _stop;
        Task _running;
        volatile Hello _hello;
        volatile Exception _failure;
        volatile string _trouble = "";
        int _state;
        long _received;
        long _lastHandsNs;

        public StreamClient(StreamOptions options, Backoff backoff = null)
        {
            _options = options;
            _backoff = backoff ?? new Backoff();
            Buffer = new MessageBuffer();
            Clock = new ClockOffset();
            Delay = new PlayoutDelay();
        }

        /// <summary>The newest messages.</summary>
        public MessageBuffer Buffer { get; private set; }

        /// <summary>The server's clock.</summary>
        public ClockOffset Clock { get; private set; }

        /// <summary>How far behind the server's clock hands should be shown.</summary>
        public PlayoutDelay Delay { get; private set; }

        /// <summary>When the last message with hands came, <see cref="MonotonicClock"/>.</summary>
        public long LastHandsNs
        {
            get { return Interlocked.Read(ref _lastHandsNs); }
        }

        /// <summary>The newest hello; null until the first connection stands.</summary>
        public Hello Hello
        {
            get { return _hello; }
        }

        /// <summary>Why the client gave up; null while it did not.</summary>
        public Exception Failure
        {
            get { return _failure; }
        }

        /// <summary>Why there was no connection the last time there was none; empty if there always was one.</summary>
        public string Trouble
        {
            get { return _trouble; }
        }

        public StreamState State
        {
            get { return (StreamState)Volatile.Read(ref _state); }
        }

        /// <summary>Messages with hands received so far.</summary>
        public long Received
        {
            get { return Interlocked.Read(ref _received); }
        }

        /// <summary>Called with each message, after it was put into the buffer.</summary>
        public event Action<StreamMessage> MessageReceived;

        /// <summary>Called with each payload as it came: bytes, their number, and when, before it is decoded.</summary>
        public event Action<byte[], int, long> PayloadReceived;

        /// <summary>Begins to connect; does nothing if that was done already.</summary>
        /// <exception cref="ArgumentException">If the options hold no address.</exception>
        public void Start()
        {
            Uri uri = _options.StreamUri();
            lock (_lock)
            {
                if (_stop != null)
                {
                    return;
                }
                _stop = new CancellationTokenSource();
                CancellationToken stopped = _stop.Token;
                _failure = null;
                _running = Task.Run(() => RunAsync(uri, stopped));
            }
        }

        /// <summary>Ends the connection; <see cref="Start"/> may follow.</summary>
        public void Stop()
        {
            Task running;
            lock (_lock)
            {
                if (_stop == null)
                {
                    return;
                }
                _stop.Cancel();
                running = _running;
                _stop = null;
                _running = null;
            }
            try
            {
                running.Wait(2000);
            }
            catch (AggregateException)
            {
                // What ended the task is in Failure.
            }
            SetState(StreamState.Stopped);
        }

        public void Dispose()
        {
            Stop();
        }

        async Task RunAsync(Uri uri, CancellationToken stopped)
        {
            while (!stopped.IsCancellationRequested)
            {
                try
                {
                    SetState(StreamState.Connecting);
                    await ConverseAsync(uri, stopped).ConfigureAwait(false);
                    _trouble = "the connection ended";
                }
                catch (RefusedException error)
                {
                    Fail(error);
                    return;
                }
                catch (DecodeException error)
                {
                    Fail(error);
                    return;
                }
                catch (Exception error) when (IsPassing(error))
                {
                    if (stopped.IsCancellationRequested)
                    {
                        return;
                    }
                    _trouble = Words(error);
                }
                catch (Exception error)
                {
                    Fail(error);
                    return;
                }
                SetState(StreamState.Waiting);
                await QuietDelayAsync((int)(1000 * _backoff.NextDelayS()), stopped).ConfigureAwait(false);
            }
        }

        /// <summary>Holds one connection until it ends.</summary>
        async Task ConverseAsync(Uri uri, CancellationToken stopped)
        {
            using (var socket = new ClientWebSocket())
            using (var ended = new CancellationTokenSource())
            {
                await OpenAsync(socket, uri, _options.Token, stopped).ConfigureAwait(false);
                Buffer.Clear();
                Clock.Clear();
                Delay.Clear();
                var sending = new SemaphoreSlim(1);
                Task pinging = PingAsync(socket, sending, ended.Token);
                Task stopping = CloseWhenAsync(stopped, socket, sending, ended);
                try
                {
                    await ReceiveAsync(socket, ended.Token).ConfigureAwait(false);
                }
                finally
                {
                    await CloseAsync(socket, sending).ConfigureAwait(false);
                    ended.Cancel();
                    socket.Abort();
                    await pinging.ConfigureAwait(false);
                    await stopping.ConfigureAwait(false);
                }
            }
        }

        /// <summary>
        /// Says goodbye when the client is stopped, and ends the connection if the service does not answer in time.
        /// </summary>
        static async Task CloseWhenAsync(
            CancellationToken stopped, WebSocket socket, SemaphoreSlim sending, CancellationTokenSource ended)
        {
            CancellationToken endedToken = ended.Token;
            using (var either = CancellationTokenSource.CreateLinkedTokenSource(stopped, endedToken))
            {
                await QuietDelayAsync(Timeout.Infinite, either.Token).ConfigureAwait(false);
            }
            if (endedToken.IsCancellationRequested)
            {
                return;
            }
            await CloseAsync(socket, sending).ConfigureAwait(false);
            await QuietDelayAsync(GoodbyeMs, endedToken).ConfigureAwait(false);
            if (!endedToken.IsCancellationRequested)
            {
                ended.Cancel();
            }
        }

        /// <summary>
        /// Sends a close frame if none was sent. Aborting alone is not enough: Mono then keeps the TCP connection until
        /// its collector comes by, and the service goes on sending.
        /// </summary>
        static async Task CloseAsync(WebSocket socket, SemaphoreSlim sending)
        {
            using (var late = new CancellationTokenSource(GoodbyeMs))
            {
                try
                {
                    await sending.WaitAsync(late.Token).ConfigureAwait(false);
                    try
                    {
                        if (socket.State == WebSocketState.Open || socket.State == WebSocketState.CloseReceived)
                        {
                            await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", late.Token)
                                .ConfigureAwait(false);
                        }
                    }
                    finally
                    {
                        sending.Release();
                    }
                }
                catch (Exception error) when (IsPassing(error))
                {
                    // The connection is gone already.
                }
            }
        }

        static async Task QuietDelayAsync(int delayMs, CancellationToken token)
        {
            try
            {
                await Task.Delay(delayMs, token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
            }
        }

        static async Task OpenAsync(ClientWebSocket socket, Uri uri, string token, CancellationToken stopped)
        {
            using (var late = CancellationTokenSource.CreateLinkedTokenSource(stopped))
            {
                late.CancelAfter(OpenTimeoutMs);
                if (!string.IsNullOrEmpty(token))
                {
                    socket.Options.SetRequestHeader("Authorization", "Bearer " + token);
                }
                try
                {
                    await socket.ConnectAsync(uri, late.Token).ConfigureAwait(false);
                }
                catch (OperationCanceledException)
                {
                    stopped.ThrowIfCancellationRequested();
                    throw new TimeoutException("the service did not answer within " + OpenTimeoutMs + " ms");
                }
                catch (WebSocketException)
                {
                    RefusedException refused = await Task.Run(() => Refusal.Of(uri, token)).ConfigureAwait(false);
                    if (refused != null)
                    {
                        throw refused;
                    }
                    throw;
                }
            }
        }

        async Task ReceiveAsync(ClientWebSocket socket, CancellationToken ended)
        {
            var decoder = new MessageDecoder();
            var buffer = new byte[64 * 1024];
            int count = 0;
            while (true)
            {
                WebSocketReceiveResult part;
                using (var silence = CancellationTokenSource.CreateLinkedTokenSource(ended))
                {
                    silence.CancelAfter(SilenceMs);
                    try
                    {
                        var room = new ArraySegment<byte>(buffer, count, buffer.Length - count);
                        part = await socket.ReceiveAsync(room, silence.Token).ConfigureAwait(false);
                    }
                    catch (OperationCanceledException)
                    {
                        ended.ThrowIfCancellationRequested();
                        throw new TimeoutException("the service said nothing for " + SilenceMs + " ms");
                    }
                }
                if (part.MessageType == WebSocketMessageType.Close)
                {
                    ThrowClosed(socket);
                }
                count += part.Count;
                if (!part.EndOfMessage)
                {
                    if (count == buffer.Length)
                    {
                        Grow(ref buffer);
                    }
                    continue;
                }
                long receivedNs = MonotonicClock.NowNs();
                if (part.MessageType == WebSocketMessageType.Text)
                {
                    throw new DecodeException("the service sent text where msgpack was asked for");
                }
                Action<byte[], int, long> payloadReceived = PayloadReceived;
                if (payloadReceived != null)
                {
                    payloadReceived(buffer, count, receivedNs);
                }
                Take(decoder.Decode(buffer, 0, count), receivedNs);
                count = 0;
            }
        }

        static void Grow(ref byte[] buffer)
        {
            if (buffer.Length >= LargestMessage)
            {
                throw new DecodeException("a message is larger than " + LargestMessage + " bytes");
            }
            Array.Resize(ref buffer, 2 * buffer.Length);
        }

        void Take(StreamMessage message, long receivedNs)
        {
            var hello = message as Hello;
            var hands = message as HandsMessage;
            var pong = message as Pong;
            if (hello != null)
            {
                _hello = hello;
                _backoff.Reset();
                SetState(StreamState.Streaming);
            }
            else if (hands != null)
            {
                Interlocked.Exchange(ref _lastHandsNs, receivedNs);
                Buffer.Add(hands);
                if (Clock.Known)
                {
                    Delay.Add(hands.PoseTimeNs, Clock.ToServerNs(receivedNs));
                }
                Interlocked.Increment(ref _received);
            }
            else if (pong != null)
            {
                Clock.Add(pong.T, pong.ReceivedNs, pong.SentNs, receivedNs);
            }
            Action<StreamMessage> messageReceived = MessageReceived;
            if (message != null && messageReceived != null)
            {
                messageReceived(message);
            }
        }

        /// <summary>Sends pings until the connection ends; the receiver sees how it ends, so nothing is thrown here.</summary>
        static async Task PingAsync(ClientWebSocket socket, SemaphoreSlim sending, CancellationToken ended)
        {
            try
            {
                for (int sent = 0; ; sent++)
                {
                    await sending.WaitAsync(ended).ConfigureAwait(false);
                    try
                    {
                        var ping = new ArraySegment<byte>(PingMessage.Pack(MonotonicClock.NowNs()));
                        await socket.SendAsync(ping, WebSocketMessageType.Binary, true, ended).ConfigureAwait(false);
                    }
                    finally
                    {
                        sending.Release();
                    }
                    int waitMs = sent < FirstPings ? FirstPingsEveryMs : PingsEveryMs;
                    await Task.Delay(waitMs, ended).ConfigureAwait(false);
                }
            }
            catch (Exception error) when (IsPassing(error))
            {
            }
        }

        static void ThrowClosed(WebSocket socket)
        {
            int code = socket.CloseStatus.HasValue ? (int)socket.CloseStatus.Value : 1005;
            string reason = socket.CloseStatusDescription ?? "";
            switch (code)
            {
                case 1002:
                case 1003:
                case 1007:
                case 1008:
                case 1009:
                case 1010:
                    throw new RefusedException(code, reason);
                default:
                    throw new IOException("the service closed with code " + code + ": " + reason);
            }
        }

        static bool IsPassing(Exception error)
        {
            return error is WebSocketException || error is IOException || error is SocketException
                || error is TimeoutException || error is OperationCanceledException
                || error is ObjectDisposedException || error is InvalidOperationException;
        }

        static string Words(Exception error)
        {
            string words = error.Message;
            for (Exception inner = error.InnerException; inner != null; inner = inner.InnerException)
            {
                words += ": " + inner.Message;
            }
            return words;
        }

        void Fail(Exception error)
        {
            _failure = error;
            _trouble = Words(error);
            SetState(StreamState.Failed);
        }

        void SetState(StreamState state)
        {
            Volatile.Write(ref _state, (int)state);
        }
    }
}
